// The spool's files when something goes wrong with them.
#include "store/spool.h"

#include <sys/resource.h>

#include <array>
#include <csignal>
#include <cstring>
#include <fstream>
#include <functional>
#include <random>
#include <vector>

#include "store_fixture.h"

namespace gradus::results {
namespace {

class SpoolTest : public StoreTest {};

TEST_F(SpoolTest, AFullDiskLeavesNoHalfName) {
  Spool spool(folder_);
  ASSERT_EQ(spool.key("train/loss"), 0);
  // The disk is full three letters into the next name.
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  const rlimit full{std::filesystem::file_size(keys_path(folder_)) + 3, usual.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  expect_error(Exit::io, "cannot write", [&] { spool.key("val/acc"); });
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
  ::signal(SIGXFSZ, SIG_DFL);

  EXPECT_EQ(spool.key("val/loss"), 1);
  EXPECT_EQ(spool.key("val/acc"), 2);
  SpoolReader reader(folder_, {});
  EXPECT_EQ(reader.name(0), "train/loss");
  EXPECT_EQ(reader.name(1), "val/loss");
  EXPECT_EQ(reader.name(2), "val/acc");
  EXPECT_EQ(reader.name(3), "");
  EXPECT_EQ(spool.key("fourth"), 3);
  EXPECT_EQ(reader.name(3), "fourth");
  EXPECT_EQ(reader.name(4), "");
}

TEST_F(SpoolTest, TheFirstSegmentIsTheLeastNumberThatIsThere) {
  EXPECT_EQ(first_segment(folder_), -1);
  EXPECT_EQ(first_segment(folder_ + "/missing"), -1);
  for (const char* name : {"spool.keys", "spool.", "spool.-1", "spool.7x", "spool.99999999999999999999"})
    std::ofstream(folder_ + "/" + name) << "x";
  EXPECT_EQ(first_segment(folder_), -1);
  std::ofstream(folder_ + "/spool.12") << "x";
  std::ofstream(folder_ + "/spool.9") << "x";
  EXPECT_EQ(first_segment(folder_), 9);
  std::ofstream(folder_ + "/spool.0") << "x";
  EXPECT_EQ(first_segment(folder_), 0);
}

// What a message is, as one text.
std::string told(const Record* head) {
  const std::string begin =
      std::to_string(head->kind) + " " + std::to_string(head->step) + " " + std::to_string(head->value) + " ";
  if (head->kind == Record::metric) return begin + std::to_string(head->key);
  if (head->kind == Record::progress)
    return begin + std::to_string(head[1].step) + " " + std::to_string(head[1].value) + " " +
           std::to_string(head[2].value);
  return begin + std::string(reinterpret_cast<const char*>(head + 1), head->key);
}

// Read at any time, in pieces of any size, over segments of any size.
TEST_F(SpoolTest, MessagesComeOutAsTheyWentIn) {
  std::mt19937 random(5);
  for (int round = 0; round < 4; ++round) {
    const std::string folder = folder_ + "/" + std::to_string(round);
    std::filesystem::create_directory(folder);
    const std::uint64_t usual = 1 + random() % 12;
    Spool spool(folder, sizeof(SegmentHeader) + usual * sizeof(Record) + random() % sizeof(Record));
    SpoolReader reader(folder, {});
    std::vector<std::string> sent;
    std::vector<std::uint64_t> sizes;  // in records
    std::size_t read = 0;
    const auto take = [&](std::uint64_t limit) {
      const SpoolReader::Span span = reader.read(limit, false);
      std::uint64_t before = 0, size = 0;
      for (; size < span.size; size += message_records(span.data[size])) {
        ASSERT_LT(read, sent.size());
        EXPECT_EQ(told(span.data + size), sent[read++]);
        before = size;
      }
      EXPECT_EQ(size, span.size) << "whole messages";
      EXPECT_TRUE(span.size == 0 || before < limit) << "no more of them than were asked for";
      reader.advance(span.size);
    };
    for (int i = 0; i < 60; ++i) {
      const auto step = static_cast<std::int64_t>(random() % 1000);
      const double value = static_cast<double>(random() % 64) / 8;
      std::vector<Record> records(1);
      switch (random() % 4) {
        case 0: {
          const std::string text(std::array{0, 1, 23, 24, 25, 48, 300}[random() % 7], static_cast<char>('a' + i % 26));
          const Record::Kind kind = random() % 2 ? Record::event : Record::artifact;
          spool.text(kind, step, value, text);
          sizes.push_back(1 + (text.size() + 23) / 24);
          records.resize(sizes.back());
          records[0] = {step, value, static_cast<std::uint32_t>(text.size()), kind};
          std::memcpy(static_cast<void*>(records.data() + 1), text.data(), text.size());
          break;
        }
        case 1:
          spool.progress(step, value, step + 1, value + 1, value + 2);
          records = {{step, value, 0, Record::progress}, {step + 1, value + 1, 0, 0}, {0, value + 2, 0, 0}};
          sizes.push_back(3);
          break;
        default:
          spool.metric(static_cast<std::uint32_t>(i), step, value);
          records = {{step, value, static_cast<std::uint32_t>(i), Record::metric}};
          sizes.push_back(1);
      }
      sent.push_back(told(records.data()));
      EXPECT_TRUE(reader.pending());
      if (random() % 3 == 0) take(1 + random() % 12);
    }
    for (int i = 0; i < 200 && read < sent.size(); ++i) take(1 + random() % 12);
    EXPECT_EQ(read, sent.size());
    EXPECT_FALSE(reader.pending());
    // A segment is full when the next message does not fit; one that is larger has a segment of its size.
    std::size_t message = 0;
    for (std::int64_t number = 0; message < sizes.size(); ++number) {
      Segment segment;
      ASSERT_TRUE(segment.open(segment_path(folder, number)));
      EXPECT_EQ(segment.header().capacity, std::max(usual, number > 0 || message > 0 ? sizes[message] : 1));
      std::uint64_t used = 0;
      while (message < sizes.size() && used + sizes[message] <= segment.header().capacity) used += sizes[message++];
      EXPECT_EQ(segment.header().published.load(), used);
      EXPECT_EQ(segment.header().sealed.load(), message < sizes.size() ? 1U : 0U);
    }
  }
}

TEST_F(SpoolTest, OnlyADeadRunsOpenSegmentIsGoneBy) {
  Spool spool(folder_, sizeof(SegmentHeader) + 2 * sizeof(Record));
  for (int i = 0; i < 3; ++i) spool.metric(0, i, i);
  Segment first;
  ASSERT_TRUE(first.open(segment_path(folder_, 0)));
  first.header().sealed = 0;
  SpoolReader reader(folder_, {});
  EXPECT_TRUE(reader.pending()) << "not looked at yet";
  EXPECT_EQ(reader.read(9, false).size, 2U);
  EXPECT_TRUE(reader.pending());
  reader.advance(2);
  EXPECT_FALSE(reader.pending());
  EXPECT_EQ(reader.read(9, false).size, 0U);
  EXPECT_EQ(reader.position().segment, 0);
  EXPECT_EQ(reader.read(9, true).size, 1U);
  EXPECT_EQ(reader.position().segment, 1);
  reader.advance(1);
  EXPECT_EQ(reader.read(9, true).size, 0U);
  EXPECT_EQ(reader.position().segment, 1) << "none follows";
  reader.rewind({0, 1});
  EXPECT_TRUE(reader.pending());
  const SpoolReader::Span again = reader.read(9, false);
  ASSERT_EQ(again.size, 1U);
  EXPECT_EQ(again.data->step, 1);
}

TEST_F(SpoolTest, ADamagedSegmentGivesWhatIsWhole) {
  const auto damaged = [&](const std::function<void(Segment&)>& damage) {
    std::filesystem::remove(segment_path(folder_, 0));
    std::filesystem::remove(keys_path(folder_));
    Spool spool(folder_, sizeof(SegmentHeader) + 8 * sizeof(Record));
    spool.metric(0, 1, 1);
    spool.text(Record::event, 2, 2, std::string(30, 'x'));
    Segment segment;
    EXPECT_TRUE(segment.open(segment_path(folder_, 0)));
    damage(segment);
    return SpoolReader(folder_, {}).read(99, false).size;
  };
  EXPECT_EQ(damaged([](Segment&) {}), 4U);
  EXPECT_EQ(damaged([](Segment& s) { s.header().published = 99; }), 8U) << "no more than there is room for";
  EXPECT_EQ(damaged([](Segment& s) { s.header().published = 3; }), 1U) << "no half text";
  EXPECT_EQ(damaged([](Segment& s) { s.records()[1].key = 72; }), 4U - 3U) << "nor one that goes on past the end";
  EXPECT_EQ(damaged([](Segment& s) { s.records()[1].key = 48; }), 4U);
  EXPECT_EQ(damaged([](Segment& s) { s.header().magic = 0; }), 0U);
  EXPECT_EQ(damaged([](Segment& s) { s.header().capacity = 9; }), 0U) << "the file is shorter";
  const auto cut = [&](std::uint64_t bytes) {
    return damaged([&](Segment& s) {
      s.close();
      std::filesystem::resize_file(segment_path(folder_, 0), bytes);
    });
  };
  EXPECT_EQ(cut(sizeof(SegmentHeader) + 8 * sizeof(Record)), 4U);
  EXPECT_EQ(cut(sizeof(SegmentHeader) + 8 * sizeof(Record) - 1), 0U);
  EXPECT_EQ(cut(sizeof(SegmentHeader)), 0U);
  EXPECT_EQ(cut(sizeof(SegmentHeader) - 1), 0U);
  EXPECT_EQ(cut(0), 0U);
}

}  // namespace
}  // namespace gradus::results
