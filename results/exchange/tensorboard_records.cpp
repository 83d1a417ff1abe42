#include "tensorboard_records.h"

#include <algorithm>
#include <bit>
#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>

#include "error.h"
#include "protobuf.h"

namespace gradus::results {

namespace {

using Crc32c = boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true>;

std::uint32_t masked(std::uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8U; }

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  Crc32c crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}
std::uint32_t masked_crc32c(std::string_view bytes) { return masked(crc32c(bytes)); }

std::string framed(const std::string& bytes) {
  const std::string length = protobuf::raw(static_cast<std::uint64_t>(bytes.size()));
  return length + protobuf::raw(masked_crc32c(length)) + bytes + protobuf::raw(masked_crc32c(bytes));
}

RecordReader::RecordReader(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rbe")) {
  if (file_ == nullptr)
    throw Error(errno == ENOENT ? Exit::missing : Exit::io, path + ": cannot read; got " + std::strerror(errno));
  std::fseek(file_, 0, SEEK_END);
  size_ = static_cast<std::uint64_t>(std::max(std::ftell(file_), 0L));
  std::rewind(file_);
}

RecordReader::~RecordReader() {
  if (file_ != nullptr) std::fclose(file_);
}

void RecordReader::damaged(const std::string& what) const {
  throw Error(Exit::data, path_ + ": damaged event file at byte " + std::to_string(at_) + "; " + what);
}

void RecordReader::read(char* bytes, std::size_t count, const char* what) {
  if (std::fread(bytes, 1, count, file_) != count)
    damaged(std::string("expected ") + what + "; got the end of the file");
}

bool RecordReader::next(std::string& record) {
  char head[12];
  if (at_ >= size_) return false;
  read(head, sizeof head, "a record's head");
  std::uint64_t length = 0;
  std::uint32_t crc = 0;
  std::memcpy(&length, head, 8);
  std::memcpy(&crc, head + 8, 4);
  if (crc != masked_crc32c({head, 8})) damaged("expected the checksum of the record's length; got another");
  // The length is checked against the file before any memory is taken for it.
  if (length > size_ - at_ || size_ - at_ - length < 16)
    damaged("expected a record of " + std::to_string(length) + " bytes; got a file of " + std::to_string(size_));
  Crc32c running;
  record.clear();
  char piece[1 << 16];
  for (std::uint64_t left = length; left > 0;) {
    const std::size_t count = std::min<std::uint64_t>(left, sizeof piece);
    read(piece, count, "a record's bytes");
    running.process_bytes(piece, count);
    if (length <= kLongestRecord) record.append(piece, count);
    left -= count;
  }
  read(head, 4, "a record's checksum");
  std::memcpy(&crc, head, 4);
  if (crc != masked(running.checksum())) damaged("expected the checksum of the record's bytes; got another");
  at_ += length + 16;
  return true;
}

}  // namespace gradus::results
