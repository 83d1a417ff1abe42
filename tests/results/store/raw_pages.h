// Pages of a file that are written byte by byte.
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "store/pages.h"
#include "store_fixture.h"

namespace gradus::results {

constexpr int kIndexInterior = 2, kTableInterior = 5, kIndexLeaf = 10, kTableLeaf = 13;

// The first page is the file's own, with no tree in it, the others follow.
class RawPages : public StoreTest {
 protected:
  static std::string big_endian(std::uint64_t value, int count) {
    std::string bytes;
    for (int i = count - 1; i >= 0; --i) bytes += static_cast<char>(value >> 8 * i);
    return bytes;
  }
  static void put(std::string& page, std::size_t at, const std::string& bytes) {
    page.replace(at, bytes.size(), bytes);
  }
  // A page of a tree, its first cell at its end. right: the last page below.
  static std::string tree(int kind, const std::vector<std::string>& cells, std::uint32_t right = 0) {
    std::string page(kPageBytes, '\0');
    const std::size_t head = kind < 10 ? 12 : 8;
    page[0] = static_cast<char>(kind);
    put(page, 3, big_endian(cells.size(), 2));
    if (kind < 10) put(page, 8, big_endian(right, 4));
    std::size_t at = page.size();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      at -= cells[i].size();
      put(page, at, cells[i]);
      put(page, head + 2 * i, big_endian(at, 2));
    }
    return page;
  }
  void write(const std::vector<std::string>& pages, const std::string& first = std::string(kPageBytes, '\0')) const {
    std::ofstream file(path_, std::ios::binary);
    file << first;
    for (const std::string& page : pages) file << page;
  }
};

}  // namespace gradus::results
