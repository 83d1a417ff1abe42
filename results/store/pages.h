// A SQLite file read page by page, without SQLite: for what it refuses to read because something else is damaged
// (salvage.h). Debian's SQLite has neither its recovery extension nor sqlite_dbpage. The format:
// https://www.sqlite.org/fileformat2.html.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "store.h"

namespace gradus::results {

constexpr std::uint32_t kPageBytes = 4096;  // of every store: create_schema says so, and a WAL database keeps it

using Page = std::vector<unsigned char>;

struct RawRow {
  bool index = false;      // of an index, or of a table WITHOUT ROWID
  std::int64_t rowid = 0;  // of other tables
  std::vector<Cell> values;
};

class PageFile {
 public:
  // The file and its -wal, both only read. Error (missing, io).
  explicit PageFile(const std::string& path);
  ~PageFile();
  PageFile(const PageFile&) = delete;
  PageFile& operator=(const PageFile&) = delete;

  std::uint32_t count() const { return count_; }  // pages have the numbers 1 to this one
  // As of the last commit. Shorter where the file is cut, empty beyond its end.
  Page page(std::uint32_t number) const;
  // Pages of deleted rows, as far as the list of them can be followed.
  std::unordered_set<std::uint32_t> free_pages() const;
  // The pages below this one in its tree; empty for a leaf and for what is no page of a tree.
  std::vector<std::uint32_t> children(std::uint32_t number) const;
  // Each row of the page that is well-formed from its first to its last byte. A damaged one hides none of its
  // neighbours.
  void rows(std::uint32_t number, const std::function<void(RawRow&)>& found) const;

 private:
  void read_wal();
  bool payload(const Page& page, std::size_t at, std::uint64_t size, bool index, std::string& record) const;

  int fd_ = -1, wal_fd_ = -1;  // owned; wal_fd_ -1: no WAL
  std::uint32_t count_ = 0;
  std::unordered_map<std::uint32_t, std::int64_t> in_wal_;  // page -> where its newest committed form begins
};

}  // namespace gradus::results
