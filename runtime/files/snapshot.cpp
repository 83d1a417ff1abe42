#include "snapshot.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "error.h"
#include "file.h"
#include "safetensors.h"
#include "start_thread.h"

namespace gradus {
namespace {

constexpr const char *kPlain = "gradus.state", *kSum = "gradus.crc32";

std::uint32_t add(std::uint32_t sum, const void* bytes, size_t count) {
  const auto* from = static_cast<const unsigned char*>(bytes);
  while (count > 0) {
    const auto part = static_cast<uInt>(std::min<size_t>(count, size_t{1} << 30));
    sum = static_cast<std::uint32_t>(::crc32(sum, from, part));
    from += part, count -= part;
  }
  return sum;
}

// Against damage, not against people: CRC-32 takes a tenth of a second for 100 MB.
std::string checksum(const Snapshot& snapshot) {
  std::uint32_t sum = add(0, snapshot.plain.data(), snapshot.plain.size());
  for (const auto& [name, tensor] : snapshot.tensors) {
    sum = add(sum, name.data(), name.size());
    sum = add(sum, tensor.const_data_ptr(), tensor.nbytes());
  }
  char text[9];
  std::snprintf(text, sizeof text, "%08x", sum);
  return text;
}

}  // namespace

void write_snapshot(const std::string& path, const Snapshot& snapshot, std::map<std::string, std::string> about) {
  about[kPlain] = snapshot.plain;
  about[kSum] = checksum(snapshot);
  write_safetensors(path, snapshot.tensors, about);
}

Snapshot read_snapshot(const std::string& path) {
  SafeTensors read = read_safetensors(path);
  const auto plain = read.metadata.find(kPlain), sum = read.metadata.find(kSum);
  if (plain == read.metadata.end() || sum == read.metadata.end())
    throw data_error(path, "not a snapshot", "a file that a run saved", "a safetensors file without a run's state");
  Snapshot snapshot{std::move(read.tensors), std::move(plain->second)};
  const std::string now = checksum(snapshot);
  if (now != sum->second)
    throw data_error(path, "the snapshot is damaged", "bytes with the CRC-32 " + sum->second, now);
  return snapshot;
}

SnapshotWriter::~SnapshotWriter() {
  if (thread_.joinable()) thread_.join();
}

void SnapshotWriter::start(std::string path, Snapshot snapshot, std::map<std::string, std::string> about) {
  wait();
  auto write = [this, path, snapshot = std::move(snapshot), about = std::move(about)]() mutable {
    (void)::nice(5);  // Linux: of this thread. The training comes first where cores are short.
    try {
      write_snapshot(path, snapshot, std::move(about));
    } catch (...) {
      error_ = std::current_exception();
    }
    busy_ = false;
  };
  busy_ = true;
  try {
    thread_ = start_thread(path, std::move(write));
  } catch (const Error&) {
    busy_ = false;
    throw;
  }
}

void SnapshotWriter::wait() {
  if (thread_.joinable()) thread_.join();
  if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
}

}  // namespace gradus
