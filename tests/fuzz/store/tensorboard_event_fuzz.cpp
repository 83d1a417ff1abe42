#include "../target.h"
#include "error.h"
#include "exchange/tensorboard_events.h"

namespace results = gradus::results;

// Two messages, of which the first may say what the second's tags are; a zero byte and a line break are between them.
FUZZ(tensorboard_event) {
  results::EventSink sink;
  std::size_t told = 0;
  sink.scalar = [&](const std::string& tag, std::int64_t, double, double) { told += tag.size(); };
  sink.hyperparameter = [&](const std::string& name, const results::Json& value) {
    told += name.size() + value.dump().size();
  };
  results::EventReader reader(sink);
  constexpr std::string_view kBetween("\0\n", 2);
  const std::size_t middle = std::min(bytes.find(kBetween), bytes.size());
  for (const std::string_view message : {bytes.substr(0, middle), bytes.substr(std::min(middle + 2, bytes.size()))})
    gradus::fuzz::accept_or_refuse<results::Error>([&] { reader.event(message); });
}
