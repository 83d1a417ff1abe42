// Weights & Biases' offline runs: what `wandb sync` uploads. A run's folder holds a transaction log of protobuf Records
// (wandb/proto/wandb_internal.proto), framed as LevelDB frames its log:
//
//   file   = ":W&B" | uint16 0xbee1 | uint8 version 0 | piece…
//   piece  = uint32 crc32 of type and bytes | uint16 length | uint8 type | bytes
//   type   = 1 a whole record, 2 its first piece, 3 a middle one, 4 its last; no piece crosses a border of 32 KiB
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "export.h"
#include "output_file.h"

namespace gradus::results {

// Writes the records of a log. Errors (io).
class WandbLog {
 public:
  explicit WandbLog(const std::string& path);
  void record(const std::string& message);  // its number, field 1 of a Record, is put before it
  void finish() { file_.finish(); }

  static constexpr std::size_t kBlock = 32768, kHead = 7;

 private:
  void piece(std::string_view bytes, int type);

  OutputFile file_;
  std::size_t at_ = 0;  // bytes written
  std::int64_t count_ = 0;
};

// One folder per run, FOLDER/offline-run-TIME-UID/run-UID.wandb: its parameters as the configuration, its metrics and
// its progress as history, one row a step, its events as lines of output. The project is the experiment's name;
// repetitions are one group. Written again, it replaces itself, here and, since its id is the uid, there.
Exported export_wandb(Store& store, const std::vector<std::int64_t>& runs, const std::string& folder);

}  // namespace gradus::results
