// A run's spool: numbered segment files (shared mappings of reserved space) that the training thread appends to and a
// drainer reads. What is published is in the kernel's pages, so it outlives the process. Only whole messages are
// published: a value is one record, a text (event, artifact) is a head record and as many as its bytes need.
//
//   <run folder>/spool.0, spool.1, …   64-byte header, then records of 24 bytes
//   <run folder>/spool.keys            metric names, one a line; a record's key is the line's number from 0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gradus::results {

struct Record {
  enum Kind : std::uint32_t { metric = 1, progress = 2, event = 3, artifact = 4 };
  std::int64_t step{};  // artifact: its bytes
  double value{};       // metric: the value; progress: the epoch; event: Unix time
  std::uint32_t key{};  // metric: number of the name; event, artifact: bytes of text that follow
  std::uint32_t kind{};
};
static_assert(sizeof(Record) == 24);

struct SegmentHeader {
  std::uint64_t magic;
  std::uint64_t capacity;                // records
  std::atomic<std::uint64_t> published;  // records that a reader may read
  std::atomic<std::uint64_t> sealed;     // 1: nothing more comes, the next segment exists
  std::uint64_t reserved[4];
};
static_assert(sizeof(SegmentHeader) == 64 && std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::uint64_t kSegmentMagic = 0x314c4f4f50535247;  // "GRSPOOL1"
constexpr std::size_t kSegmentBytes = std::size_t{1} << 20;

// A mapped segment file, read-write. Owns the mapping.
class Segment {
 public:
  Segment() = default;
  ~Segment() { close(); }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  // Of one that is closed:
  void create(const std::string& path, std::uint64_t records);  // new file. Error (io): no space
  // False when there is no such file, or one that its process died over before it was ready (then closed() stays true).
  bool open(const std::string& path);
  void close();
  void swap(Segment& other) {
    std::swap(header_, other.header_);
    std::swap(bytes_, other.bytes_);
  }
  bool closed() const { return header_ == nullptr; }
  SegmentHeader& header() const { return *header_; }
  Record* records() const { return reinterpret_cast<Record*>(header_ + 1); }

 private:
  SegmentHeader* header_ = nullptr;  // owned: a mapping of bytes_
  std::size_t bytes_ = 0;
};

std::string segment_path(const std::string& folder, std::int64_t number);
std::string keys_path(const std::string& folder);
std::int64_t first_segment(const std::string& folder);  // the least number of a segment that is there; -1: none

// The writing end. One thread.
class Spool {
 public:
  explicit Spool(const std::string& folder, std::size_t segment_bytes = kSegmentBytes);  // makes spool.0 and spool.keys
  ~Spool();

  int key(std::string_view name);  // checked by the caller. Error (io): as if it had not been asked
  std::size_t keys() const { return numbers_.size(); }

  void metric(std::uint32_t key, std::int64_t step, double value) {
    if (count_ == capacity_) [[unlikely]]
      roll(1);
    records_[count_] = {step, value, key, Record::metric};
    publish(1);
  }
  void progress(std::int64_t step, double epoch, std::int64_t samples, double flops, double seconds);
  void text(Record::Kind kind, std::int64_t step, double value, std::string_view bytes);

 private:
  void publish(std::uint64_t records) {
    count_ += records;
    segment_.header().published.store(count_, std::memory_order_release);
  }
  void roll(std::uint64_t records);  // begins a segment that has room for as many

  std::string folder_;
  std::size_t segment_bytes_;
  std::int64_t number_ = 0;
  Segment segment_;
  Record* records_ = nullptr;  // borrowed from segment_
  std::uint64_t count_ = 0, capacity_ = 0;
  int keys_fd_ = -1;  // owned
  std::unordered_map<std::string, int> numbers_;
};

// How far a spool was read.
struct SpoolPosition {
  std::int64_t segment = 0;
  std::uint64_t records = 0;
};

// The reading end; may live in another process and begin anywhere.
class SpoolReader {
 public:
  SpoolReader(std::string folder, SpoolPosition position) : folder_(std::move(folder)), position_(position) {}

  // Up to `limit` records from the position on, whole messages only; empty: nothing new. Valid until the next call.
  // `dead`: the writing process is gone, so an unsealed segment may be followed by another.
  struct Span {
    const Record* data = nullptr;
    std::uint64_t size = 0;
  };
  Span read(std::uint64_t limit, bool dead);
  void advance(std::uint64_t records) { position_.records += records; }
  bool pending();
  const SpoolPosition& position() const { return position_; }
  void rewind(SpoolPosition position);
  // The name for a key number, "" when the names file does not have it (a damaged file).
  const std::string& name(std::uint32_t key);

 private:
  std::string folder_;
  SpoolPosition position_;
  Segment segment_;
  std::vector<std::string> names_;
};

// How many records a message takes, its head included.
std::uint64_t message_records(const Record& head);

}  // namespace gradus::results
