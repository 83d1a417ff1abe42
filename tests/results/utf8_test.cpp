#include "utf8.h"

#include <gtest/gtest.h>

namespace gradus::results {
namespace {

// The first and the last character of each length, and what lies just beyond: cut short, too long a form, half of a surrogate pair,
// beyond the last plane, a byte that only goes on.
TEST(Utf8Test, CharactersAtTheirEdges) {
  for (const std::string text : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                 "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a日b"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
    EXPECT_EQ(utf8(text), text);
  }
  for (const std::string text : {"\x80", "\xbf", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xc2\xc0", "\xe0\x9f\xbf", "\xe0\xa0",
                                 "\xe0\xa0\x7f", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80",
                                 "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\x80", "\xe6\x97\xa5\xc2"})
    EXPECT_FALSE(is_utf8(text)) << utf8(text);
}

TEST(Utf8Test, OtherBytesAreEscapedAndTheRestIsKept) {
  EXPECT_EQ(utf8("a\xff\xe6\x97\xa5\x80"), "a\\xff\xe6\x97\xa5\\x80");
  EXPECT_EQ(utf8("\xc2"), "\\xc2");
  EXPECT_EQ(utf8("\xed\xa0\x80"), "\\xed\\xa0\\x80");
}

}  // namespace
}  // namespace gradus::results
