// Which way a metric is better: what was said of it (writer:better in Lua, `gradus better`), else what everybody means
// by a word of its name, else unknown. Never a guess: whoever needs a direction and has none says so.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "store/store.h"

namespace gradus::results {

enum class Better { unknown, higher, lower };

struct Direction {
  Better better = Better::unknown;
  bool said = false;  // declared in the store; false: by the name
};

// By the field's well-known names: a word of the key's last part, in any case, or else of an earlier part ("Loss/val").
// "top1_acc", "valLoss", "RMSE", "acc5" and "steps_to_acc" are known; words that contradict each other ("acc_gap") say
// nothing, and neither do knobs ("knob/loss_weight").
Better well_known(std::string_view key);

Direction direction(Store& store, const std::string& key);
std::map<std::string, Direction> directions(Store& store);  // of every key in the store

const char* to_text(Better better);                       // "higher", "lower" or nullptr
bool improves(Better better, double value, double than);  // false where the direction is unknown or `value` is NaN
std::string how_to_say(const std::string& key);           // "`gradus better KEY higher` (or lower)"

}  // namespace gradus::results
