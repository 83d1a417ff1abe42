// Memory, pinned memory, the stream, events, the generator: what LibTorch wants to know of a device.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "simulated.h"

namespace simulated {
namespace {

void free_adopted(void* context) { delete static_cast<c10::DataPtr*>(context); }

class DeviceAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    c10::DataPtr memory = c10::GetAllocator(c10::kCPU)->allocate(bytes);
    if (bytes) std::memset(memory.get(), 0xFF, bytes);  // NaN: nobody may rely on what new memory holds
    return adopt(std::move(memory));
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(untagged(to), untagged(const_cast<void*>(from)), bytes);
  }
};

// ---- pinned memory of the host

std::mutex pinned_mutex;
std::map<const char*, std::size_t>& pinned_blocks() {
  static auto* blocks = new std::map<const char*, std::size_t>;
  return *blocks;
}

void free_pinned(void* pointer) {
  {
    const std::lock_guard<std::mutex> lock(pinned_mutex);
    pinned_blocks().erase(static_cast<const char*>(pointer));
  }
  std::free(pointer);
}

class PinnedAllocator final : public at::HostAllocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* pointer = std::aligned_alloc(64, (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64);
    const std::lock_guard<std::mutex> lock(pinned_mutex);
    pinned_blocks()[static_cast<const char*>(pointer)] = std::max<std::size_t>(bytes, 1);
    return {pointer, pointer, &free_pinned, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_pinned; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
  bool record_event(void*, void*, c10::Stream) override { return true; }  // a pending copy holds its tensors
  void empty_cache() override {}
  at::HostStats get_stats() override { return {}; }
  void reset_accumulated_stats() override {}
  void reset_peak_stats() override {}
};

PinnedAllocator* pinned_allocator() {
  static auto* one = new PinnedAllocator;
  return one;
}

// ---- the stream: one, in order

struct Copy {
  at::Tensor to, from;
  uint64_t number;
};
std::recursive_mutex stream_mutex;
std::vector<Copy>& pending = *new std::vector<Copy>;  // never destroyed: tensors may outlive static objects
uint64_t issued = 0;
std::atomic<int64_t> begun{0};
std::atomic<int64_t> waits{0};

void finish_until(uint64_t number, bool only_to_device) {
  const std::lock_guard<std::recursive_mutex> lock(stream_mutex);
  const at::NoGradGuard no_grad;
  std::vector<Copy> later;
  for (Copy& copy : std::exchange(pending, {})) {
    if (copy.number > number || (only_to_device && !is_ours(copy.to)))
      later.push_back(std::move(copy));
    else
      (is_ours(copy.to) ? on_cpu(copy.to) : copy.to).copy_(copy.from);
  }
  pending.insert(pending.begin(), later.begin(), later.end());
}

struct Event {
  uint64_t number = 0;
  int64_t begun = 0;  // operators at that time
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::DeviceType::PrivateUse1; }
  c10::Device exchangeDevice(c10::Device) const override { return device(); }
  c10::Device getDevice() const override { return device(); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, device()); }
  c10::Stream getDefaultStream(c10::Device) const override { return getStream(device()); }
  c10::Stream getStreamFromGlobalPool(c10::Device, bool) const override { return getStream(device()); }
  c10::Stream getNewStream(c10::Device, int) const override { return getStream(device()); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return getStream(device()); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void** event, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {
    if (!*event) *event = new Event;
    *static_cast<Event*>(*event) = {issued, begun};
  }
  void destroyEvent(void* event, const c10::DeviceIndex) const noexcept override { delete static_cast<Event*>(event); }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void* event) const override {
    const std::lock_guard<std::recursive_mutex> lock(stream_mutex);
    return !event || pending.empty() || pending.front().number > static_cast<Event*>(event)->number;
  }
  void synchronizeEvent(void* event) const override {
    if (!event) return;
    const Event& e = *static_cast<Event*>(event);
    if (e.begun == begun) ++waits;  // nothing was asked for since: the device runs dry
    finish_until(e.number, false);
  }
  bool queryStream(const c10::Stream&) const override { return pending.empty(); }
  void synchronizeStream(const c10::Stream&) const override { stream::finish(); }
  void synchronizeDevice(const c10::DeviceIndex) const override { stream::finish(); }
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
};

// ---- random numbers: the CPU's, from a generator of the device's own

struct Generator final : c10::GeneratorImpl {
  explicit Generator(at::Generator inner)
      : GeneratorImpl(simulated::device(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)),
        inner(std::move(inner)) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  void set_offset(uint64_t offset) override { inner.set_offset(offset); }
  uint64_t get_offset() const override { return inner.get_offset(); }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl& state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  Generator* clone_impl() const override { return new Generator(inner.clone()); }
  at::Generator inner;
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex) const override { return 0; }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex) const override { return 0; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const auto* one = new at::Generator(getNewGenerator(0));
    return *one;
  }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return at::make_generator<Generator>(at::make_generator<at::CPUGeneratorImpl>(c10::default_rng_seed_val));
  }
  at::Device getDeviceFromPtr(void*) const override { return device(); }
  bool isPinnedPtr(const void* pointer) const override { return is_pinned(pointer); }
  c10::Allocator* getPinnedMemoryAllocator() const override { return pinned_allocator(); }
  void resizePrivateUse1Bytes(const c10::Storage& storage, std::size_t bytes) const override {
    c10::DataPtr memory = allocator()->allocate(bytes);
    std::memcpy(untagged(memory.get()), untagged(storage.mutable_data()), std::min(bytes, storage.nbytes()));
    storage.set_data_ptr_noswap(std::move(memory));
    storage.set_nbytes(bytes);
  }
};

[[maybe_unused]] const bool registered = [] {
  c10::register_privateuse1_backend("simulated");
  c10::SetAllocator(c10::DeviceType::PrivateUse1, allocator());
  at::setHostAllocator(c10::DeviceType::PrivateUse1, pinned_allocator(), /*priority=*/0);
  at::RegisterPrivateUse1HooksInterface(new Hooks);
  return true;
}();
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

}  // namespace

c10::DataPtr adopt(c10::DataPtr memory) {
  if (!memory.get()) return {nullptr, device()};
  void* pointer = tagged(memory.get());
  return {pointer, new c10::DataPtr(std::move(memory)), &free_adopted, device()};
}

c10::Allocator* allocator() {
  static auto* one = new DeviceAllocator;
  return one;
}

bool is_pinned(const void* pointer) {
  const std::lock_guard<std::mutex> lock(pinned_mutex);
  const auto next = pinned_blocks().upper_bound(static_cast<const char*>(pointer));
  if (next == pinned_blocks().begin()) return false;
  const auto& [start, bytes] = *std::prev(next);
  return pointer < start + bytes;
}

at::Generator inner_generator(const at::Generator& given) {
  return given.device().is_privateuseone() ? static_cast<Generator*>(given.unsafeGetGeneratorImpl())->inner : given;
}

at::Generator default_generator() { return inner_generator(at::detail::getPrivateUse1Hooks().getDefaultGenerator(0)); }

namespace stream {

void copy_later(const at::Tensor& to, const at::Tensor& from) {
  const std::lock_guard<std::recursive_mutex> lock(stream_mutex);
  // Out of the device: the values of now. Into it: what the host's memory holds when the copy happens.
  pending.push_back({to, is_ours(from) ? on_cpu(from).clone() : from, ++issued});
  if (!is_ours(to) && at::isFloatingType(to.scalar_type())) to.fill_(std::numeric_limits<double>::quiet_NaN());
}

void wait() {
  finish();
  ++waits;
}
void finish() { finish_until(~uint64_t{0}, false); }
void start() {
  ++begun;
  finish_until(~uint64_t{0}, true);
}

}  // namespace stream
}  // namespace simulated

// How often the host has waited for the device to be done: to read a value, or for a copy that blocks.
extern "C" __attribute__((visibility("default"))) int64_t simulated_waits() { return simulated::waits; }
