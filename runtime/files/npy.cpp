#include "npy.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "file.h"

namespace gradus {

namespace {

constexpr int64_t kMaxHeader = 10'000;  // NumPy's own limit for files that are not trusted
constexpr size_t kMaxRank = 64;

struct Header {
  std::string descr;
  bool fortran = false;
  std::vector<int64_t> shape;
};

// Reads the header, a Python dictionary of three known keys. Nothing nests in it but one tuple, so nothing recurses.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  Header parse() {
    Header header;
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      bool* seen = key == "descr" ? &descr : key == "fortran_order" ? &order : key == "shape" ? &shape : nullptr;
      if (!seen || *seen) fail("the keys descr, fortran_order, shape, once each", "'" + key + "'");
      *seen = true;
      if (seen == &descr) header.descr = descr_text();
      if (seen == &order) header.fortran = boolean();
      if (seen == &shape) header.shape = tuple();
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip();
    if (at_ != text_.size()) fail("the end of the header", "'" + std::string(text_.substr(at_, 20)) + "'");
    if (!descr || !order || !shape) fail("descr, fortran_order and shape", "fewer");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& expected, const std::string& got) const {
    throw data_error(where_, "header refused at its byte " + std::to_string(at_), expected, got);
  }
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool take(char c) {
    skip();
    return at_ < text_.size() && text_[at_] == c ? (++at_, true) : false;
  }
  void expect(char c) {
    if (!take(c))
      fail(std::string("'") + c + "'", at_ < text_.size() ? std::string("'") + text_[at_] + "'" : "its end");
  }
  std::string quoted() {
    skip();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"')
      fail("a quoted text", at_ < text_.size() ? std::string("'") + quote + "'" : "its end");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a closing quote", "its end");
    std::string text(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return text;
  }
  std::string descr_text() {
    skip();
    if (at_ < text_.size() && text_[at_] == '[') fail("an array of plain numbers", "records (a structured dtype)");
    return quoted();
  }
  bool boolean() {
    skip();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) return at_ += word.size(), value;
    }
    fail("True or False", "'" + std::string(text_.substr(at_, 10)) + "'");
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> shape;
    expect('(');
    while (!take(')')) {
      skip();
      int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0)
        fail("a size from 0 to 2^63 - 1", "'" + std::string(text_.substr(at_, 24)) + "'");
      at_ = end - text_.data();
      take('L');  // Python 2 wrote 3L
      if (shape.size() == kMaxRank) fail("at most 64 dimensions", "more");
      shape.push_back(size);
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view text_;
  std::string where_;
  size_t at_ = 0;
};

struct Type {
  const char* code;
  at::ScalarType stored, result;
};
constexpr Type kTypes[] = {
    {"b1", at::kBool, at::kBool},  {"i1", at::kChar, at::kChar},   {"i2", at::kShort, at::kShort},
    {"i4", at::kInt, at::kInt},    {"i8", at::kLong, at::kLong},   {"u1", at::kByte, at::kByte},
    {"u2", at::kUInt16, at::kInt}, {"u4", at::kUInt32, at::kLong}, {"u8", at::kLong, at::kLong},
    {"f2", at::kHalf, at::kHalf},  {"f4", at::kFloat, at::kFloat}, {"f8", at::kDouble, at::kDouble},
};

const Type& find_type(const std::string& descr, const std::string& where) {
  const bool order = !descr.empty() && std::string_view("<>|=").find(descr[0]) != std::string_view::npos;
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& t) {
    return order && descr.compare(1, std::string::npos, t.code) == 0;
  });
  if (type != std::end(kTypes)) return *type;
  const char kind = descr.size() > 1 && order ? descr[1] : '\0';
  const char* what = kind == 'O'                  ? " (Python objects: pickled code, never read)"
                     : kind == 'U' || kind == 'S' ? " (texts)"
                     : kind == 'c'                ? " (complex numbers)"
                     : kind == 'V'                ? " (records)"
                     : kind == 'M' || kind == 'm' ? " (dates)"
                                                  : "";
  const std::string way =
      kind == 'O' ? " (where you trust it: numpy.save(…, numpy.load(…, allow_pickle=True).astype('f4')))" : "";
  throw data_error(where, "dtype cannot be read", "b1, i1 i2 i4 i8, u1 u2 u4 u8, f2 f4 f8" + way,
                   "'" + descr.substr(0, 40) + "'" + what);
}

template <typename Word>
void swap_bytes(void* data, int64_t count) {
  auto* words = static_cast<Word*>(data);
  for (int64_t i = 0; i < count; ++i) {
    if constexpr (sizeof(Word) == 2) words[i] = __builtin_bswap16(words[i]);
    if constexpr (sizeof(Word) == 4) words[i] = __builtin_bswap32(words[i]);
    if constexpr (sizeof(Word) == 8) words[i] = __builtin_bswap64(words[i]);
  }
}

void swap_bytes(const at::Tensor& tensor) {
  void* data = tensor.mutable_data_ptr();
  switch (tensor.element_size()) {
    case 2:
      return swap_bytes<uint16_t>(data, tensor.numel());
    case 4:
      return swap_bytes<uint32_t>(data, tensor.numel());
    case 8:
      return swap_bytes<uint64_t>(data, tensor.numel());
    default:
      return;
  }
}

// Checks what comes before the header, and gives where the header begins and its length.
std::pair<int64_t, int64_t> find_header(const File& file) {
  const std::string start = file.read(0, std::min<int64_t>(file.size(), 12));
  if (!start.starts_with("\x93NUMPY")) refuse_pickle(file);
  if (is_gzip(start))
    throw data_error(file.at(0), "gzip-compressed", "an NPY file (unpack it with gunzip)", "a gzip file");
  if (start.size() < 10 || !start.starts_with("\x93NUMPY")) {
    throw data_error(file.at(0), "not an NPY file", "the magic \\x93NUMPY and a version",
                     std::to_string(start.size()) + " other bytes");
  }
  const auto byte = [&](int i) { return static_cast<int64_t>(static_cast<unsigned char>(start[i])); };
  if (byte(6) < 1 || byte(6) > 3 || byte(7) != 0) {
    throw data_error(file.at(6), "unknown version", "1.0, 2.0 or 3.0",
                     std::to_string(byte(6)) + "." + std::to_string(byte(7)));
  }
  const int64_t begin = byte(6) == 1 ? 10 : 12;
  if (file.size() < begin)
    throw data_error(file.at(8), "the file ends in its header's length", "12 bytes", std::to_string(file.size()));
  const int64_t length = byte(8) | byte(9) << 8 | (begin == 12 ? byte(10) << 16 | byte(11) << 24 : 0);
  if (length > kMaxHeader)
    throw data_error(file.at(8), "header too long", "at most 10000 bytes", std::to_string(length));
  if (length > file.size() - begin) {
    throw data_error(file.at(8), "header longer than the file",
                     "at most " + std::to_string(file.size() - begin) + " bytes", std::to_string(length));
  }
  return {begin, length};
}

}  // namespace

at::Tensor read_npy(const std::string& path) {
  const File file(path);
  const auto [begin, length] = find_header(file);
  Header header = HeaderParser(file.read(begin, length), file.at(begin)).parse();
  const Type& type = find_type(header.descr, path);
  const auto bytes = byte_count(header.shape, static_cast<int64_t>(at::elementSize(type.stored)));
  if (!bytes) throw data_error(path, "shape overflows", "a size that fits 63 bits", show_shape(header.shape));
  const int64_t data = file.size() - begin - length;
  if (*bytes != data) {
    throw data_error(file.at(begin + length), "data does not fill shape " + show_shape(header.shape),
                     std::to_string(*bytes) + " bytes", std::to_string(data));
  }
  if (header.fortran) std::reverse(header.shape.begin(), header.shape.end());
  at::Tensor tensor = read_tensor(file, begin + length, header.shape, type.stored);
  if (header.descr[0] == '>') swap_bytes(tensor);
  if (std::string_view(type.code) == "u8" && tensor.numel() && tensor.min().item<int64_t>() < 0) {
    throw data_error(path, "an unsigned number does not fit", "numbers below 2^63", "a larger one");
  }
  if (type.stored != type.result) tensor = tensor.to(type.result);
  if (!header.fortran) return tensor;
  std::vector<int64_t> axes(header.shape.size());
  for (size_t i = 0; i < axes.size(); ++i) axes[i] = static_cast<int64_t>(axes.size() - 1 - i);
  return tensor.permute(axes).contiguous();
}

}  // namespace gradus
