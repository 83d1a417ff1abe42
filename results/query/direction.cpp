#include "direction.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <vector>

namespace gradus::results {
namespace {

const std::set<std::string, std::less<>> kHigher = {
    "acc",         "accuracy",   "f1",         "fbeta",   "fscore",        "auc",       "auroc",      "auprc",
    "aupr",        "ap",         "map",        "mrr",     "ndcg",          "bleu",      "sacrebleu",  "rouge",
    "rougel",      "rougelsum",  "meteor",     "chrf",    "iou",           "miou",      "jaccard",    "dice",
    "r2",          "rsquared",   "precision",  "recall",  "hit",           "hits",      "exactmatch", "sensitivity",
    "specificity", "tpr",        "tnr",        "mcc",     "kappa",         "agreement", "psnr",       "ssim",
    "reward",      "elbo",       "likelihood", "loglik",  "loglikelihood", "pearson",   "spearman",   "kendall",
    "correlation", "similarity", "throughput", "speedup", "fps",
};
const std::set<std::string, std::less<>> kLower = {
    "loss",     "losses",     "error",    "errors",       "err",        "mse",         "rmse",      "nmse",
    "nrmse",    "msle",       "rmsle",    "mae",          "mape",       "smape",       "mase",      "nll",
    "bce",      "ce",         "xent",     "crossentropy", "kl",         "kld",         "js",        "jsd",
    "ppl",      "perplexity", "bpc",      "bpb",          "bpd",        "wer",         "cer",       "ter",
    "eer",      "fpr",        "fnr",      "fdr",          "brier",      "ece",         "crps",      "fid",
    "lpips",    "hinge",      "deviance", "divergence",   "residual",   "levenshtein", "hausdorff", "chamfer",
    "regret",   "cost",       "latency",  "seconds",      "secs",       "sec",         "ms",        "time",
    "duration", "walltime",   "steps",    "epochs",       "samples",    "flops",       "gflops",    "mflops",
    "tflops",   "macs",       "bytes",    "kib",          "mib",        "gib",         "mb",        "gb",
    "memory",   "mem",        "energy",   "joules",       "forgetting", "gap",         "misses",    "mistakes",
    "nan",      "nans",
};
const std::set<std::string, std::less<>> kUnitsOfTime = {"second", "sec", "s", "minute", "min", "hour"};

Better of_word(std::string_view word) {
  for (;;) {
    if (kHigher.count(word) != 0) return Better::higher;
    if (kLower.count(word) != 0) return Better::lower;
    if (word.empty() || std::isdigit(static_cast<unsigned char>(word.back())) == 0) return Better::unknown;
    word.remove_suffix(1);  // acc5
  }
}

bool upper(char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; }

// Small letters; "valLoss" and "MSELoss" are two words, "mIoU", which is known as a whole, is one.
std::vector<std::string> words_of(std::string_view part) {
  std::vector<std::string> words;
  const auto lower = [](std::string_view text) {
    std::string low(text);
    for (char& c : low) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return low;
  };
  for (std::size_t begin = 0; begin < part.size();) {
    const std::size_t end = std::min(part.find_first_of("_-.", begin), part.size());
    const std::string_view token = part.substr(begin, end - begin);
    begin = end + 1;
    if (of_word(lower(token)) != Better::unknown) {
      words.push_back(lower(token));
      continue;
    }
    std::size_t from = 0;
    for (std::size_t i = 1; i <= token.size(); ++i) {
      const bool hump = i < token.size() && upper(token[i]) &&
                        (!upper(token[i - 1]) || (i + 1 < token.size() && !upper(token[i + 1])));
      if (i < token.size() && !hump) continue;
      words.push_back(lower(token.substr(from, i - from)));
      from = i;
    }
  }
  return words;
}

Better of_part(std::string_view part) {
  const std::vector<std::string> words = words_of(part);
  bool higher = false, lower = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "per" && i + 1 < words.size() && kUnitsOfTime.count(words[i + 1]) != 0)
      return Better::higher;  // a rate
    // What follows only says where it was measured: steps_to_acc_90, recall_at_precision_90, loss_per_token.
    if ((word == "to" || word == "at" || word == "per") && (higher || lower)) {
      if (word != "per") break;
      continue;
    }
    Better one = of_word(word);
    if (one == Better::unknown && i + 1 < words.size()) one = of_word(word + words[i + 1]);  // cross_entropy
    higher = higher || one == Better::higher;
    lower = lower || one == Better::lower;
  }
  if (higher == lower) return Better::unknown;
  return higher ? Better::higher : Better::lower;
}

Better parse(const Cell& cell) {
  const auto* text = std::get_if<std::string>(&cell);
  return text == nullptr ? Better::unknown : *text == "higher" ? Better::higher : Better::lower;
}

Direction of_row(const std::vector<Cell>& row) {
  const Better said = parse(row[1]);
  if (said != Better::unknown) return {said, true};
  return {well_known(std::get<std::string>(row[0])), false};
}

}  // namespace

Better well_known(std::string_view key) {
  if (key.substr(0, 5) == "knob/") return Better::unknown;
  while (!key.empty()) {
    const std::size_t slash = key.rfind('/');
    const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    if (const Better better = of_part(key.substr(begin)); better != Better::unknown || begin == 0) return better;
    key = key.substr(0, slash);
  }
  return Better::unknown;
}

Direction direction(Store& store, const std::string& key) {
  const Rows rows = store.query("SELECT name, better FROM keys WHERE name = ?1", {key});
  return rows.rows.empty() ? Direction{well_known(key), false} : of_row(rows.rows[0]);
}

std::map<std::string, Direction> directions(Store& store) {
  std::map<std::string, Direction> all;
  for (const auto& row : store.query("SELECT name, better FROM keys").rows)
    all[std::get<std::string>(row[0])] = of_row(row);
  return all;
}

const char* to_text(Better better) {
  return better == Better::higher ? "higher" : better == Better::lower ? "lower" : nullptr;
}

bool improves(Better better, double value, double than) {
  if (better == Better::unknown || std::isnan(value)) return false;
  return std::isnan(than) || (better == Better::lower ? value < than : value > than);
}

std::string how_to_say(const std::string& key) { return "`gradus better " + key + " higher` (or lower)"; }

}  // namespace gradus::results
