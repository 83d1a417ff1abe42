// Draws the rows of each batch from a subset of a dataset, on the calling thread, deterministically from its own seed.
//
//   sequential   the subset in its order, again and again
//   shuffle      without replacement, in a new order for each pass; a batch across the end of a pass goes on in the next
//   weighted     with replacement, in proportion to a weight per row, changed at any time in O(log rows)
//   confidence   weighted, the weights following the student's confidence in each row
//
// The confidence rule is Active Bias' "threshold closeness" (Chang, Learned-Miller, McCallum, NeurIPS 2017: weight in
// proportion to p (1 - p) plus a floor), with the threshold as a parameter: for p, the exponential moving average of
// the student's confidence in a row's label,
//   w = floor + (1 - floor) · (1 - ((p - target) / max(target, 1 - target))²)
// which is floor + (1 - floor) · 4 p (1 - p) at target 0.5. A young student is near the target only on simple and
// moderate rows; as it grows sure of these their weight falls and harder rows take over, so the difficulty follows the
// student without a schedule. Rows not seen yet weigh 1, the most a row can: each is tried early (that paper's
// burn-in), and no row is ever below the floor.
#pragma once

#include <string>
#include <vector>

#include "torch.h"

namespace gradus {

enum class Sampling { sequential, shuffle, weighted, confidence };
const char* name_of(Sampling mode);
Sampling sampling_named(const std::string& name);  // Error(data) that lists the names

struct SamplerOptions {
  int64_t rows = 0;  // rows of the dataset, above 0; the subset starts as all of them
  Sampling mode = Sampling::shuffle;
  uint64_t seed = 0;
  double target = 0.5;  // confidence: where the weight is highest, 0 … 1
  double floor = 0.05;  // confidence: the least weight, above 0, up to 1
  // confidence: what remains of the average at an observation, 0 … below 1 (0.7: half in two visits)
  double decay = 0.7;
};

// What was drawn between two looks at how often each row was.
struct Drawn {
  double rows = 0;
  double difficulty = 0;  // mean over the draws of rows that have one, NaN where there are none
};

// visits int32 [rows], before: the same at the look before, or undefined; difficulty: float64 [rows], NaN where it is not
// known, or undefined.
Drawn drawn_since(const at::Tensor& visits, const at::Tensor& before, const at::Tensor& difficulty);

// All that a sampler needs to go on exactly. Tensors are new, on the CPU.
struct SamplerState {
  SamplerOptions options;
  int64_t draws = 0, cursor = 0, passes = 0, order = 0;
  at::Tensor subset;      // int64 [S]
  at::Tensor visits;      // int32 [rows]
  at::Tensor weights;     // float64 [rows]: as set (weighted), else undefined
  at::Tensor confidence;  // float64 [rows]: the averages, NaN = not seen (confidence), else undefined
};

class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options);

  struct Draw {
    at::Tensor index;  // int64 [B], rows of the dataset; new
    at::Tensor visit;  // int32 [B], how often each was drawn before; new
  };
  Draw draw(int64_t size);
  // Takes back the latest draw that has not been taken back, so that batches drawn ahead of use can be returned at a
  // stage change or a snapshot. Not across set_subset.
  void undo(const at::Tensor& index);

  // int64 [S], distinct rows. The same subset again changes nothing; another one starts a new pass over itself.
  void set_subset(const at::Tensor& index);
  // weighted only. [rows], or [S] for the rows in index. Finite, >= 0.
  void set_weights(const at::Tensor& weights);
  void set_weights(const at::Tensor& index, const at::Tensor& weights);
  // confidence only. index [B], confidence [B] in [0, 1]; any device.
  void observe(const at::Tensor& index, const at::Tensor& confidence);
  void set_target(double target);  // confidence only; reweighs all rows

  const SamplerOptions& options() const { return options_; }
  int64_t size() const { return static_cast<int64_t>(subset_.size()); }  // rows in the subset
  int64_t draws() const { return draws_; }                               // rows drawn so far
  double passes() const;          // traversals of the current subset, with the fraction
  at::Tensor subset() const;      // int64 [S], new
  at::Tensor visits() const;      // int32 [rows], new
  at::Tensor weights() const;     // float64 [rows], new: what a row weighs now, 0 outside of the subset
  at::Tensor confidence() const;  // float64 [rows], new: the averages, NaN = not seen
  // How many rows alike would be drawn as unevenly as those of the subset are now: (Σ w)² / Σ w² (Kish 1965).
  double effective() const;

  SamplerState state() const;
  // Of a sampler over as many rows in the same mode; also takes over its seed and parameters.
  void restore(const SamplerState& state);

 private:
  bool is_weighted() const { return options_.mode == Sampling::weighted || options_.mode == Sampling::confidence; }
  void need(Sampling mode, const char* method) const;
  int64_t next();
  void place_subset(std::vector<int64_t> rows);
  void make_order();
  double rule(double confidence) const;
  void put(int64_t row, double weight);  // into the tree, if the row is in the subset
  void rebuild();

  SamplerOptions options_;
  int64_t draws_ = 0;
  int64_t cursor_ = 0;  // rows of this pass that are drawn
  int64_t passes_ = 0;  // passes over this subset that are done
  int64_t order_ = 0;   // number of the current permutation, never used twice
  std::vector<int64_t> subset_, permutation_;
  std::vector<int32_t> visits_;
  std::vector<double> weights_, confidence_;
  std::vector<bool> inside_;
  // Sums of a complete binary tree over the rows, root at 1, leaves at leaves_ + row. Each inner sum is left + right,
  // so the tree is a function of its leaves and a resumed sampler draws the same rows.
  std::vector<double> tree_;
  int64_t leaves_ = 0;
};

}  // namespace gradus
