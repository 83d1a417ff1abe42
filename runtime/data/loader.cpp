#include "loader.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "error.h"
#include "files/file.h"
#include "start_thread.h"
#include "transfer.h"

namespace gradus {

namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& expected, const std::string& got) {
  throw data_error("loader", what, expected, got);
}

// Copies rows one by one instead of calling index_select: LibTorch would start another team of threads under the
// worker.
at::Tensor gather(const at::Tensor& from, const int64_t* index, int64_t count, bool pin) {
  if (!from.defined()) return {};
  std::vector<int64_t> shape = from.sizes().vec();
  const auto row_bytes = static_cast<int64_t>(from.nbytes()) / shape[0];
  shape[0] = count;
  at::Tensor rows = pin ? empty_pinned(shape, from.scalar_type()) : at::empty(shape, from.scalar_type());
  const auto* source = static_cast<const char*>(from.const_data_ptr());
  auto* target = static_cast<char*>(rows.mutable_data_ptr());
  for (int64_t i = 0; i < count; ++i) std::memcpy(target + i * row_bytes, source + index[i] * row_bytes, row_bytes);
  return rows;
}

}  // namespace

void check_examples(const std::string& where, const Examples& data, int64_t classes) {
  if (!data.x.defined() || data.x.dim() < 1) {
    throw data_error(where, "no x", "a tensor [N, …]", data.x.defined() ? show_shape(data.x.sizes()) : "none");
  }
  if (data.x.size(0) == 0)
    throw data_error(where, "empty data set", "1 row or more", "x " + show_shape(data.x.sizes()));
  const std::pair<const char*, const at::Tensor*> parts[] = {
      {"x", &data.x}, {"y", &data.y}, {"weight", &data.weight}, {"teacher", &data.teacher}};
  for (const auto& [name, tensor] : parts) {
    if (!tensor->defined()) continue;
    if (!tensor->is_cpu())
      throw data_error(where, std::string(name) + " is not on the CPU", "a data set on the CPU",
                       tensor->device().str());
    if (tensor->dim() < 1 || tensor->size(0) != data.x.size(0)) {
      throw data_error(where, std::string(name) + " has another number of rows than x " + show_shape(data.x.sizes()),
                       std::to_string(data.x.size(0)) + " rows", show_shape(tensor->sizes()));
    }
  }
  if (classes < 1 || !data.y.defined() || data.y.dim() != 1 || !at::isIntegralType(data.y.scalar_type(), false)) return;
  const at::Tensor labels = data.y.to(at::kLong).contiguous();
  const int64_t* begin = labels.const_data_ptr<int64_t>();
  const int64_t* bad = std::find_if(begin, begin + labels.numel(), [&](int64_t label) {
    return (label < 0 && label != kNoLabel) || label >= classes;
  });
  if (bad == begin + labels.numel()) return;
  throw data_error(where, "label out of range in row " + std::to_string(bad - begin),
                   "0 to " + std::to_string(classes - 1), std::to_string(*bad));
}

Loader::Loader(const Examples& data, const LoaderOptions& options) : options_(options) {
  check_examples("loader", data, options.classes);
  check_augment(options.augment, 1);
  if (options.depth < 0 || options.depth > 1024)
    refuse("depth out of range", "0 to 1024", std::to_string(options.depth));
  if (options.augment.mixup > 0) {
    if (!data.y.defined()) refuse("mixup needs labels", "y", "none");
    if (at::isIntegralType(data.y.scalar_type(), false) && data.y.eq(kNoLabel).any().item<bool>())
      refuse("mixup mixes labels", "a label in every row", "rows without one (-100)");
  }
  check_masking(options.masking);
  if (options.masking.rate > 0 && data.y.defined()) refuse("masking makes the labels", "no y", "y");
  const auto own = [](const at::Tensor& t) { return t.defined() ? t.detach().contiguous() : t; };
  data_ = {own(data.x), own(data.y), own(data.weight), own(data.teacher)};
}

Loader::~Loader() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

void Loader::fill(Slot& slot) const {
  try {
    const Request& r = slot.request;
    if (r.index.dim() != 1 || r.index.scalar_type() != at::kLong || r.index.numel() == 0) {
      refuse("index is not a list of rows", "int64 [B], B >= 1",
             std::string(at::toString(r.index.scalar_type())) + " " + show_shape(r.index.sizes()));
    }
    const at::Tensor index = r.index.contiguous();
    const int64_t *rows = index.const_data_ptr<int64_t>(), count = index.numel(), all = data_.x.size(0);
    for (int64_t i = 0; i < count; ++i) {
      if (rows[i] < 0 || rows[i] >= all)
        refuse("no such row", "0 to " + std::to_string(all - 1), std::to_string(rows[i]));
    }
    Batch& b = slot.batch;
    const bool pin = options_.pin, augmented = options_.augment.any(), mixed_up = options_.augment.mixup > 0,
               masked = options_.masking.rate > 0;
    b.rows = {gather(data_.x, rows, count, pin && !augmented && !masked),
              gather(data_.y, rows, count, pin && !mixed_up), gather(data_.weight, rows, count, pin),
              gather(data_.teacher, rows, count, pin)};
    b.index = r.index, b.visit = r.visit;
    if (masked) {
      Masked tokens = mask_tokens(b.rows.x, b.index, b.visit, options_.seed, options_.masking);
      b.rows.x = pin ? pinned(tokens.x) : tokens.x, b.rows.y = pin ? pinned(tokens.y) : tokens.y;
    }
    if (!augmented) return;
    b.rows.x = augment(b.rows.x, b.index, b.visit, options_.seed, options_.augment, r.strength);
    if (mixed_up) {
      Mixed mixed = mixup(b.rows.x, b.rows.y, options_.classes, b.index, b.visit, options_.seed, options_.augment.mixup,
                          r.strength);
      b.rows.x = mixed.x, b.rows.y = mixed.y, b.lambda = mixed.lambda;
    }
    if (!pin) return;
    b.rows.x = pinned(b.rows.x);
    if (mixed_up) b.rows.y = pinned(b.rows.y), b.lambda = pinned(b.lambda);
  } catch (...) {
    slot.error = std::current_exception();
  }
}

void Loader::work() {
  (void)::nice(5);  // Linux: of this thread. The step's own threads come first where cores are short.
  std::unique_lock lock(mutex_);
  while (true) {
    const auto waiting = [this] {
      return std::find_if(slots_.begin(), slots_.end(), [](const auto& slot) { return !slot->started; });
    };
    changed_.wait(lock, [&] { return stopping_ || waiting() != slots_.end(); });
    if (stopping_) return;
    const std::shared_ptr<Slot> slot = *waiting();  // shared: drop() may forget it meanwhile
    slot->started = true;
    lock.unlock();
    fill(*slot);
    lock.lock();
    slot->done = true;
    changed_.notify_all();
  }
}

void Loader::submit(const at::Tensor& index, const at::Tensor& visit, double strength) {
  check_augment(options_.augment, strength);
  auto slot = std::make_shared<Slot>();
  slot->request = {index, visit, strength};
  {
    const std::lock_guard lock(mutex_);
    const int64_t most = std::max<int64_t>(options_.depth, 1);
    if (static_cast<int64_t>(slots_.size()) >= most)
      refuse("too many batches ahead", "at most " + std::to_string(most) + " pending", "one more");
    if (options_.depth > 0 && !worker_.joinable()) worker_ = start_thread("loader", [this] { work(); });
    slots_.push_back(std::move(slot));  // after that: without a worker next() would wait for ever
  }
  changed_.notify_all();
}

Batch Loader::next() {
  std::unique_lock lock(mutex_);
  if (slots_.empty()) refuse("no batch is pending", "submit before next", "none");
  const std::shared_ptr<Slot> slot = slots_.front();
  if (options_.depth == 0) {
    fill(*slot);
  } else {
    changed_.wait(lock, [&] { return slot->done; });
  }
  slots_.pop_front();
  if (slot->error) std::rethrow_exception(slot->error);
  return std::move(slot->batch);
}

std::vector<Loader::Request> Loader::pending() const {
  const std::lock_guard lock(mutex_);
  std::vector<Request> requests;
  for (const auto& slot : slots_) requests.push_back(slot->request);
  return requests;
}

std::vector<Loader::Request> Loader::drop() {
  std::vector<Request> requests = pending();
  const std::lock_guard lock(mutex_);
  slots_.clear();
  return requests;
}

}  // namespace gradus
