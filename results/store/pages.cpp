#include "pages.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "error.h"

namespace gradus::results {
namespace {

enum Kind : unsigned char { index_interior = 2, table_interior = 5, index_leaf = 10, table_leaf = 13 };

std::uint64_t big_endian(const unsigned char* bytes, int count) {
  std::uint64_t value = 0;
  for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

// False where the bytes end first. Nine bytes at most, the last of them whole.
bool varint(const unsigned char* bytes, std::size_t size, std::size_t& at, std::uint64_t& value) {
  value = 0;
  for (int i = 0; i < 8; ++i) {
    if (at >= size) return false;
    const unsigned char byte = bytes[at++];
    value = value << 7 | (byte & 0x7fU);
    if (byte < 0x80) return true;
  }
  if (at >= size) return false;
  value = value << 8 | bytes[at++];
  return true;
}

// One column; false for a kind that no table of ours holds (a blob).
bool column(std::uint64_t type, const std::string& record, std::size_t& at, Cell& value) {
  static constexpr int kBytes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
  const std::uint64_t bytes = type < 10 ? static_cast<std::uint64_t>(kBytes[type]) : (type - 13) / 2;
  if ((type >= 10 && (type < 13 || type % 2 == 0)) || bytes > record.size() - at) return false;
  const auto* data = reinterpret_cast<const unsigned char*>(record.data()) + at;
  at += bytes;
  if (type == 0) {
    value = {};
  } else if (type >= 13) {
    value = std::string(reinterpret_cast<const char*>(data), bytes);
  } else if (type >= 8) {
    value = static_cast<std::int64_t>(type - 8);
  } else if (type == 7) {
    value = std::bit_cast<double>(big_endian(data, 8));
  } else {
    const int unused = 64 - 8 * static_cast<int>(bytes);
    value = static_cast<std::int64_t>(big_endian(data, static_cast<int>(bytes)) << unused) >> unused;
  }
  return true;
}

bool decode(const std::string& record, std::vector<Cell>& values) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(record.data());
  std::size_t at = 0;
  std::uint64_t head = 0;
  if (!varint(bytes, record.size(), at, head) || head > record.size()) return false;
  std::size_t body = head;
  while (at < head) {
    std::uint64_t type = 0;
    if (!varint(bytes, head, at, type) || !column(type, record, body, values.emplace_back())) return false;
  }
  return at == head && body == record.size() && !values.empty();
}

std::size_t head_at(std::uint32_t number) { return number == 1 ? 100 : 0; }  // the file's own header comes first

// Where the cells of a page of a tree begin; empty for any other page, and where the page's own header is damaged.
std::vector<std::size_t> cells(const Page& page, std::uint32_t number) {
  const std::size_t head = head_at(number);
  if (page.size() < head + 12) return {};
  const unsigned char kind = page[head];
  if (kind != index_interior && kind != table_interior && kind != index_leaf && kind != table_leaf) return {};
  const std::size_t first = head + (kind == index_interior || kind == table_interior ? 12 : 8);
  const std::size_t count = big_endian(&page[head + 3], 2);
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < count && first + 2 * i + 2 <= page.size(); ++i) {
    const std::size_t at = big_endian(&page[first + 2 * i], 2);
    if (at >= first && at + 4 <= page.size()) found.push_back(at);
  }
  return found;
}

}  // namespace

PageFile::PageFile(const std::string& path) {
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
    throw Error(errno == ENOENT ? Exit::missing : Exit::io, path + ": cannot read; got " + std::strerror(errno));
  }
  count_ = static_cast<std::uint32_t>((info.st_size + kPageBytes - 1) / kPageBytes);
  wal_fd_ = ::open((path + "-wal").c_str(), O_RDONLY | O_CLOEXEC);
  if (wal_fd_ >= 0) read_wal();
}

PageFile::~PageFile() {
  if (fd_ >= 0) ::close(fd_);
  if (wal_fd_ >= 0) ::close(wal_fd_);
}

// Each frame's checksum continues the one before it. That one is taken as the file has it, so that what follows a
// damaged frame is not lost with it. Frames of an older WAL that the file still has behind this one's have another
// salt.
void PageFile::read_wal() {
  constexpr std::size_t kHead = 24, kFrame = kHead + kPageBytes;
  unsigned char header[32];
  if (::pread(wal_fd_, header, sizeof header, 0) != sizeof header || big_endian(header, 4) >> 1 != 0x377f0682 >> 1)
    return;
  const bool big = header[3] & 1;
  const auto word = [&](const unsigned char* at) {
    const auto value = static_cast<std::uint32_t>(big_endian(at, 4));
    return big ? value : __builtin_bswap32(value);
  };
  const auto sum = [&](const unsigned char* bytes, std::size_t size, std::uint32_t& a, std::uint32_t& b) {
    for (std::size_t i = 0; i < size; i += 8) a += word(bytes + i) + b, b += word(bytes + i + 4) + a;
  };
  std::unordered_map<std::uint32_t, std::int64_t> open;  // of the transaction that is not committed yet
  const unsigned char* before = header + 24;
  std::vector<unsigned char> frame(kFrame), last(kHead);
  for (std::int64_t at = sizeof header; ::pread(wal_fd_, frame.data(), kFrame, at) == static_cast<ssize_t>(kFrame);
       at += static_cast<std::int64_t>(kFrame)) {
    auto a = static_cast<std::uint32_t>(big_endian(before, 4)),
         b = static_cast<std::uint32_t>(big_endian(before + 4, 4));
    sum(frame.data(), 8, a, b);
    sum(frame.data() + kHead, kPageBytes, a, b);
    const bool whole =
        std::memcmp(&frame[8], header + 16, 8) == 0 && big_endian(&frame[16], 4) == a && big_endian(&frame[20], 4) == b;
    std::copy_n(frame.begin(), kHead, last.begin());
    before = last.data() + 16;
    if (!whole) continue;
    open[static_cast<std::uint32_t>(big_endian(frame.data(), 4))] = at + static_cast<std::int64_t>(kHead);
    const auto pages = static_cast<std::uint32_t>(big_endian(&frame[4], 4));  // 0 but in a transaction's last frame
    if (pages == 0) continue;
    for (const auto& [page, where] : open) in_wal_[page] = where;
    open.clear();
    count_ = std::max(count_, pages);
  }
}

Page PageFile::page(std::uint32_t number) const {
  Page bytes(kPageBytes);
  const auto found = in_wal_.find(number);
  const ssize_t got = found != in_wal_.end()
                          ? ::pread(wal_fd_, bytes.data(), kPageBytes, found->second)
                          : ::pread(fd_, bytes.data(), kPageBytes, std::int64_t{number - 1} * kPageBytes);
  bytes.resize(
      static_cast<std::size_t>(std::max<ssize_t>(got, 0)));  // a page that the disk cannot give is an empty one
  return bytes;
}

std::unordered_set<std::uint32_t> PageFile::free_pages() const {
  std::unordered_set<std::uint32_t> free;
  const Page first = page(1);
  if (first.size() < kPageBytes) return free;
  for (auto trunk = static_cast<std::uint32_t>(big_endian(&first[32], 4));
       trunk > 1 && trunk <= count_ && free.insert(trunk).second;) {
    const Page list = page(trunk);
    if (list.size() < kPageBytes) break;
    const std::uint64_t leaves = big_endian(&list[4], 4);
    if (leaves > kPageBytes / 4 - 2) break;
    for (std::uint64_t i = 0; i < leaves; ++i) free.insert(static_cast<std::uint32_t>(big_endian(&list[8 + 4 * i], 4)));
    trunk = static_cast<std::uint32_t>(big_endian(list.data(), 4));
  }
  return free;
}

std::vector<std::uint32_t> PageFile::children(std::uint32_t number) const {
  const Page bytes = page(number);
  const std::vector<std::size_t> at = cells(bytes, number);
  const std::size_t head = head_at(number);
  if (at.empty() || (bytes[head] != index_interior && bytes[head] != table_interior)) return {};
  std::vector<std::uint32_t> below = {static_cast<std::uint32_t>(big_endian(&bytes[head + 8], 4))};
  for (const std::size_t cell : at) below.push_back(static_cast<std::uint32_t>(big_endian(&bytes[cell], 4)));
  std::erase_if(below, [&](std::uint32_t page) { return page < 2 || page > count_; });
  return below;
}

// A record of `size` bytes that begins at `at`; what does not fit into the page is in a chain of other pages.
bool PageFile::payload(const Page& page, std::size_t at, std::uint64_t size, bool index, std::string& record) const {
  constexpr std::uint64_t kMost = kPageBytes - 35, kMostOfIndex = (kPageBytes - 12) * 64 / 255 - 23;
  constexpr std::uint64_t kLeast = (kPageBytes - 12) * 32 / 255 - 23;
  if (size > std::uint64_t{count_} * kPageBytes) return false;
  const std::uint64_t most = index ? kMostOfIndex : kMost, fitting = kLeast + (size - kLeast) % (kPageBytes - 4);
  const std::uint64_t here = size <= most ? size : fitting <= most ? fitting : kLeast;
  if (here + (here < size ? 4 : 0) > page.size() - at) return false;
  record.assign(reinterpret_cast<const char*>(&page[at]), here);
  std::uint64_t next = here < size ? big_endian(&page[at + here], 4) : 0;
  while (record.size() < size) {
    if (next < 2 || next > count_) return false;
    const Page more = this->page(static_cast<std::uint32_t>(next));
    const std::uint64_t part = std::min<std::uint64_t>(kPageBytes - 4, size - record.size());
    if (more.size() < 4 + part) return false;
    record.append(reinterpret_cast<const char*>(&more[4]), part);
    next = big_endian(more.data(), 4);
  }
  return next == 0;
}

void PageFile::rows(std::uint32_t number, const std::function<void(RawRow&)>& found) const {
  const Page bytes = page(number);
  const std::vector<std::size_t> at = cells(bytes, number);
  if (at.empty()) return;
  const unsigned char kind = bytes[head_at(number)];
  if (kind == table_interior) return;
  RawRow row;
  row.index = kind != table_leaf;
  std::string record;
  for (std::size_t cell : at) {
    std::uint64_t size = 0, rowid = 0;
    if (kind == index_interior) cell += 4;  // the page below
    row.values.clear();
    if (!varint(bytes.data(), bytes.size(), cell, size)) continue;
    if (!row.index && !varint(bytes.data(), bytes.size(), cell, rowid)) continue;
    row.rowid = static_cast<std::int64_t>(rowid);
    if (payload(bytes, cell, size, row.index, record) && decode(record, row.values)) found(row);
  }
}

}  // namespace gradus::results
