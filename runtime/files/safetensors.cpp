#include "safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "file.h"
#include "mapping.h"
#include "safetensors_header.h"

namespace gradus {

using namespace safetensors;

namespace {

int64_t count_non_finite(const at::Tensor& tensor) {
  return at::isFloatingType(tensor.scalar_type()) ? at::isfinite(tensor).logical_not().sum().item<int64_t>() : 0;
}

[[noreturn]] void refuse_type(const std::string& path, const Placed& p) {
  throw data_error(path + ": tensor '" + p.name + "'", "unknown dtype",
                   std::string("one of ") + kTypeNames + (p.type_name == "C64" ? " (real numbers)" : ""),
                   "'" + p.type_name + "'");
}

at::Tensor read_placed(const File& file, int64_t base, const Placed& p) {
  if (!p.type) refuse_type(file.path(), p);
  at::Tensor tensor = read_tensor(file, base + p.begin, p.shape, p.type->type);
  if (p.type->type == p.type->result) return tensor;
  if (p.type->type == at::kUInt64) {
    tensor = tensor.view(at::kLong);
    if (tensor.numel() && tensor.min().item<int64_t>() < 0)
      throw data_error(file.path() + ": tensor '" + p.name + "'", "an unsigned number does not fit",
                       "numbers below 2^63", "a larger one");
  }
  return tensor.to(p.type->result);
}

void check_names(const std::string& path, const std::vector<std::string>& names, const std::vector<Placed>& all) {
  std::vector<std::string> have;
  have.reserve(all.size());
  for (const Placed& p : all) have.push_back(p.name);
  std::sort(have.begin(), have.end());
  for (const std::string& name : names) {
    if (std::binary_search(have.begin(), have.end(), name)) continue;
    std::string list;
    for (size_t i = 0; i < have.size() && list.size() < 400; ++i) list += (i ? ", " : "") + have[i];
    throw data_error(path, "no such tensor", "one of: " + list, "'" + name + "'");
  }
}

}  // namespace

SafeTensors read_safetensors(const std::string& path, bool strict, const std::vector<std::string>& names) {
  const File file(path);
  Contents contents = read_contents(file);
  check_names(path, names, contents.tensors);
  SafeTensors result;
  result.metadata = std::move(contents.metadata);
  for (const Placed& p : contents.tensors) {
    if (!names.empty() && std::find(names.begin(), names.end(), p.name) == names.end()) continue;
    at::Tensor tensor = read_placed(file, contents.base, p);
    const int64_t bad = count_non_finite(tensor);
    if (bad && strict)
      throw data_error(path + ": tensor '" + p.name + "'", "values are not finite", "finite numbers",
                       std::to_string(bad) + " NaN or infinite");
    result.non_finite += bad;
    result.tensors.emplace(p.name, std::move(tensor));
  }
  return result;
}

SafeTensors map_safetensors(const std::string& path) {
  const File file(path);
  Contents contents = read_contents(file);
  SafeTensors result;
  result.metadata = std::move(contents.metadata);
  const auto mapping = std::make_shared<Mapping>(path, O_RDONLY, MAP_PRIVATE);
  if (mapping->bytes() != file.size())
    throw data_error(path, "replaced while it was opened", std::to_string(file.size()) + " bytes",
                     std::to_string(mapping->bytes()));
  for (const Placed& p : contents.tensors) {
    if (!p.type) refuse_type(path, p);
    const at::ScalarType type = p.type->type;
    const auto size = static_cast<int64_t>(at::elementSize(type));
    if (type == at::kBool || (contents.base + p.begin) % size != 0) {
      throw data_error(path + ": tensor '" + p.name + "'", "cannot be used where it lies",
                       "numbers at a multiple of their size",
                       type == at::kBool ? "booleans" : "byte " + std::to_string(contents.base + p.begin));
    }
    result.tensors.emplace(p.name, Mapping::tensor(mapping, contents.base + p.begin, p.shape, type));
  }
  return result;
}

std::map<std::string, at::Tensor> create_safetensors(const std::string& path,
                                                     const std::map<std::string, TensorLayout>& tensors,
                                                     const std::map<std::string, std::string>& metadata) {
  std::vector<Item> items;
  items.reserve(tensors.size());
  for (const auto& [name, layout] : tensors) items.push_back(make_item(path, name, layout.type, layout.shape));
  const std::string header = header_of(path, items, metadata);
  int64_t bytes = static_cast<int64_t>(header.size());
  for (const Item& item : items) bytes += item.bytes;

  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  int error = errno;
  if (fd >= 0) {
    do error = ::posix_fallocate(fd, 0, bytes);
    while (error == EINTR);
  }
  if (!error && ::pwrite(fd, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size())) error = errno;
  if (fd >= 0) ::close(fd);
  if (error) {
    if (fd >= 0) ::unlink(path.c_str());
    throw Error(Exit::io, path + ": cannot make a file of " + std::to_string(bytes) +
                              " bytes; expected a writable place; got: " + std::strerror(error));
  }
  const auto mapping = std::make_shared<Mapping>(path, O_RDWR, MAP_SHARED);
  std::map<std::string, at::Tensor> result;
  for (const Item& item : items) {
    result.emplace(item.name,
                   Mapping::tensor(mapping, static_cast<int64_t>(header.size()) + item.begin, item.shape, item.scalar));
  }
  return result;
}

void write_safetensors(const std::string& path, const std::map<std::string, at::Tensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<Item> items;
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined())
      throw Error(Exit::data, path + ": tensor '" + name + "': undefined; expected a tensor; got none");
    items.push_back(make_item(path, name, tensor.scalar_type(), tensor.sizes().vec()));
  }
  const std::string header = header_of(path, items, metadata);
  FileReplacement file(path);
  file.write(header.data(), static_cast<int64_t>(header.size()));
  for (const Item& item : items) {
    const at::Tensor plain = tensors.at(item.name).detach().to(at::kCPU).contiguous();
    file.write(plain.const_data_ptr(), static_cast<int64_t>(plain.nbytes()));
  }
  file.commit();
}

}  // namespace gradus
