#include "safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace gradus::safetensors {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;  // the reference implementation's limit
constexpr size_t kMaxRank = 64;               // LibTorch's and NumPy's limit
constexpr size_t kMaxMetadata = 65'536;       // keys

constexpr Type kTypes[] = {{"F64", at::kDouble, at::kDouble},
                           {"F32", at::kFloat, at::kFloat},
                           {"F16", at::kHalf, at::kHalf},
                           {"BF16", at::kBFloat16, at::kBFloat16},
                           {"I64", at::kLong, at::kLong},
                           {"I32", at::kInt, at::kInt},
                           {"I16", at::kShort, at::kShort},
                           {"I8", at::kChar, at::kChar},
                           {"U8", at::kByte, at::kByte},
                           {"BOOL", at::kBool, at::kBool},
                           {"U16", at::kUInt16, at::kInt},
                           {"U32", at::kUInt32, at::kLong},
                           {"U64", at::kUInt64, at::kLong},
                           {"F8_E4M3", at::kFloat8_e4m3fn, at::kFloat},
                           {"F8_E5M2", at::kFloat8_e5m2, at::kFloat}};

struct Entry {
  std::string type;
  std::vector<uint64_t> shape, offsets;
  bool has_type = false, has_shape = false, has_offsets = false;
};

// Receives the header as the parser meets it: no document is built, so nesting and repetition cost nothing before they
// are refused. Levels: 1 the header, 2 a tensor's entry or the metadata, 3 a list of sizes or offsets.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
  std::string error;

  bool start_object(std::size_t) override {
    if (level_ == 2) return wrong("a nested object");
    ++level_;
    if (level_ == 1) return true;
    if (in_metadata_) return !seen_metadata_ ? (seen_metadata_ = true) : refuse("'__metadata__' is given twice");
    const auto [place, fresh] = entries.emplace(name_, Entry{});
    entry_ = &place->second;
    return fresh || refuse("tensor '" + name_ + "' is named twice");
  }
  bool end_object() override { return --level_, true; }
  bool key(std::string& text) override {
    if (level_ == 1) {
      name_ = text;
      in_metadata_ = text == "__metadata__";
      return true;
    }
    field_ = text;
    if (in_metadata_) {
      if (metadata.size() == kMaxMetadata) return refuse("'__metadata__' has more than 65536 keys");
      return metadata.emplace(text, "").second || refuse("'__metadata__' has the key '" + text + "' twice");
    }
    bool* seen = text == "dtype"          ? &entry_->has_type
                 : text == "shape"        ? &entry_->has_shape
                 : text == "data_offsets" ? &entry_->has_offsets
                                          : nullptr;
    if (!seen) return refuse("tensor '" + name_ + "' has an unknown field '" + text + "'");
    if (*seen) return refuse("tensor '" + name_ + "' has the field '" + text + "' twice");
    return *seen = true;
  }
  bool start_array(std::size_t) override {
    if (level_ != 2 || in_metadata_ || field_ == "dtype") return wrong("a list");
    ++level_;
    return true;
  }
  bool end_array() override { return --level_, true; }
  bool string(std::string& text) override {
    if (level_ == 2 && in_metadata_) return metadata[field_] = text, true;
    if (level_ != 2 || field_ != "dtype") return wrong("a text");
    entry_->type = text;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (level_ != 3) return wrong("a number");
    auto& list = field_ == "shape" ? entry_->shape : entry_->offsets;
    if (list.size() == (field_ == "shape" ? kMaxRank : 2))
      return refuse("tensor '" + name_ + "': too many numbers in '" + field_ + "'");
    list.push_back(value);
    return true;
  }
  bool number_integer(number_integer_t value) override { return wrong("the negative number " + std::to_string(value)); }
  bool number_float(number_float_t, const std::string& text) override { return wrong("the number " + text); }
  bool null() override { return wrong("null"); }
  bool boolean(bool) override { return wrong("a boolean"); }
  bool binary(Json::binary_t&) override { return wrong("bytes"); }
  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    if (error.empty()) error = "not JSON at its byte " + std::to_string(position);
    return false;
  }

 private:
  bool refuse(std::string text) { return error = std::move(text), false; }
  bool wrong(const std::string& what) {
    if (level_ == 0) return refuse("the header is " + what + " instead of an object");
    if (level_ == 1) return refuse("entry '" + name_ + "' is " + what + " instead of an object");
    return refuse("entry '" + name_ + "', field '" + field_ + "' holds " + what);
  }

  int level_ = 0;
  bool in_metadata_ = false, seen_metadata_ = false;
  std::string name_, field_;
  Entry* entry_ = nullptr;  // borrowed from entries
};

Placed place(const std::string& where, const std::string& name, const Entry& entry, uint64_t data_bytes) {
  const std::string tensor = where + ": tensor '" + name + "'";
  if (!entry.has_type || !entry.has_shape || !entry.has_offsets) {
    throw data_error(tensor, "a field is missing", "dtype, shape and data_offsets", "fewer");
  }
  const auto* type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& t) { return entry.type == t.name; });
  if (entry.offsets.size() != 2 || entry.offsets[0] > entry.offsets[1] || entry.offsets[1] > data_bytes) {
    throw data_error(tensor, "data_offsets lie", "begin <= end <= " + std::to_string(data_bytes),
                     Json(entry.offsets).dump());
  }
  std::vector<int64_t> shape;
  for (const uint64_t size : entry.shape) {
    shape.push_back(size <= uint64_t{INT64_MAX} ? static_cast<int64_t>(size) : -1);  // -1: byte_count refuses it
  }
  const auto begin = static_cast<int64_t>(entry.offsets[0]), end = static_cast<int64_t>(entry.offsets[1]);
  if (type == std::end(kTypes)) return {name, entry.type, nullptr, std::move(shape), begin, end};
  const auto bytes = byte_count(shape, static_cast<int64_t>(at::elementSize(type->type)));
  if (!bytes) throw data_error(tensor, "shape overflows", "a size that fits 63 bits", Json(entry.shape).dump());
  if (*bytes != end - begin) {
    throw data_error(tensor, "shape " + show_shape(shape) + " of " + entry.type + " does not fill its data_offsets",
                     std::to_string(*bytes) + " bytes", std::to_string(end - begin));
  }
  return {name, entry.type, type, std::move(shape), begin, end};
}

HeaderReader read_header(const File& file, uint64_t* header_bytes) {
  const auto size = static_cast<uint64_t>(file.size());
  if (size < 8)
    throw data_error(file.at(0), "shorter than the 8-byte length", "a safetensors file",
                     std::to_string(size) + " bytes");
  uint64_t length = 0;
  file.read(0, &length, 8);
  const std::string first = file.read(8, size > 8 ? 1 : 0);
  if (length > size - 8 || first != "{") refuse_pickle(file);
  if (!first.empty() && first != "{")
    throw data_error(file.at(8), "no safetensors file", "'{', where the header begins",
                     "byte " + std::to_string(static_cast<unsigned char>(first[0])));
  if (length > kMaxHeader)
    throw data_error(file.at(0), "header too long", "at most 100000000 bytes", std::to_string(length));
  if (length > size - 8)
    throw data_error(file.at(0), "header longer than the file", "at most " + std::to_string(size - 8) + " bytes",
                     std::to_string(length));
  const std::string text = file.read(8, static_cast<int64_t>(length));
  if (text.empty()) throw data_error(file.at(8), "not a safetensors header", "'{'", "nothing");
  HeaderReader reader;
  if (!Json::sax_parse(text, &reader))
    throw data_error(file.at(8), "header refused", "a safetensors header", reader.error);
  *header_bytes = length;
  return reader;
}

}  // namespace

Contents read_contents(const File& file) {
  uint64_t header_bytes = 0;
  HeaderReader header = read_header(file, &header_bytes);
  const int64_t base = 8 + static_cast<int64_t>(header_bytes), data_bytes = file.size() - base;
  std::vector<Placed> placed;
  for (const auto& [name, entry] : header.entries) placed.push_back(place(file.path(), name, entry, data_bytes));
  std::sort(placed.begin(), placed.end(),
            [](const Placed& a, const Placed& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  int64_t end = 0;
  for (const Placed& p : placed) {
    if (p.begin != end) {
      throw data_error(file.path() + ": tensor '" + p.name + "'",
                       p.begin < end ? "data overlaps another tensor's" : "a hole before its data",
                       "begin " + std::to_string(end), std::to_string(p.begin));
    }
    end = p.end;
  }
  if (end != data_bytes)
    throw data_error(file.at(base + end), "bytes after the last tensor", "the end of the file",
                     std::to_string(data_bytes - end) + " more");
  return {base, std::move(placed), std::move(header.metadata)};
}

Item make_item(const std::string& path, const std::string& name, at::ScalarType scalar, std::vector<int64_t> shape) {
  const std::string where = path + ": tensor '" + name + "'";
  if (name == "__metadata__")
    throw Error(Exit::data, where + ": reserved name; expected another name; got '" + name + "'");
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const Type& t) { return t.type == scalar && t.result == scalar; });
  if (type == std::end(kTypes)) {
    throw Error(Exit::data,
                where + ": dtype cannot be saved; expected one of " + kTypeNames + "; got " + at::toString(scalar));
  }
  const auto bytes = byte_count(shape, static_cast<int64_t>(at::elementSize(scalar)));
  if (!bytes)
    throw Error(Exit::data, where + ": too large; expected a size that fits 63 bits; got " + show_shape(shape));
  return {name, type->name, scalar, std::move(shape), *bytes};
}

std::string header_of(const std::string& path, std::vector<Item>& items,
                      const std::map<std::string, std::string>& metadata) {
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return at::elementSize(a.scalar) > at::elementSize(b.scalar); });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t end = 0;
  for (Item& item : items) {
    item.begin = end;
    end += item.bytes;
    header[item.name] = {{"dtype", item.type}, {"shape", item.shape}, {"data_offsets", {item.begin, end}}};
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    throw Error(Exit::data, path + ": a name or metadata text is not UTF-8; expected UTF-8; got other bytes");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  if (text.size() > kMaxHeader)
    throw Error(Exit::data,
                path + ": header too long; expected at most 100000000 bytes; got " + std::to_string(text.size()));
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + text;
}

}  // namespace gradus::safetensors
