#include "digits.h"

#include "files/csv.h"
#include "files/file.h"

extern "C" {
struct EmbeddedFile {
  const char *name, *begin, *end;
};
extern const EmbeddedFile gradus_embedded_datasets[];  // made by .cmake/embed.cmake; a null name closes it
}

namespace gradus {

std::pair<at::Tensor, at::Tensor> digits() {
  const EmbeddedFile* file = gradus_embedded_datasets;
  while (file->name && std::string_view(file->name) != "digits.csv.gz") ++file;
  if (!file->name)
    throw Error(Exit::bug, "digits: the dataset is not in this binary; expected digits.csv.gz; got none");
  CsvOptions options;
  options.header = false;
  options.label_index = -1;
  const Csv csv =
      parse_csv(gunzip({file->begin, static_cast<size_t>(file->end - file->begin)}, "digits"), "digits", options);
  return {csv.x.div(16).reshape({-1, 1, 8, 8}), csv.y};
}

}  // namespace gradus
