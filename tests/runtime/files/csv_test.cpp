#include "files/csv.h"

#include <clocale>

#include "data/digits.h"
#include "file_case.h"
#include "files/file.h"
#include "refusal.h"

namespace gradus {
namespace {

struct CsvTest : FileCase {};

CsvOptions label(const std::string& name) {
  CsvOptions options;
  options.label = name;
  return options;
}
CsvOptions label_at(int64_t index) {
  CsvOptions options;
  options.label_index = index;
  return options;
}

TEST_F(CsvTest, ReadsNumbersNamesAndLabels) {
  const Csv csv = parse_csv("width,height,kind\n1,2.5,cat\n-3,4e2,dog\n+5,.5,cat\n", "t", label("kind"));
  EXPECT_TRUE(at::equal(csv.x, at::tensor({1.f, 2.5f, -3.f, 400.f, 5.f, .5f}).reshape({3, 2})));
  EXPECT_TRUE(at::equal(csv.y, at::tensor({0, 1, 0}, at::kLong)));
  EXPECT_EQ(csv.columns, (std::vector<std::string>{"width", "height"}));
  EXPECT_EQ(csv.classes, (std::vector<std::string>{"cat", "dog"}));
}

TEST_F(CsvTest, LabelsAreClassesWholeNumbersOrValues) {
  EXPECT_TRUE(at::equal(parse_csv("1,7\n2,3\n", "t", label_at(-1)).y, at::tensor({7, 3}, at::kLong)));
  EXPECT_TRUE(at::equal(parse_csv("1,7\n2,3.5\n", "t", label_at(1)).y, at::tensor({7.f, 3.5f})));
  CsvOptions options = label_at(0);
  options.labels = "value";
  EXPECT_EQ(parse_csv("1,7\n2,3\n", "t", options).y.scalar_type(), at::kFloat);
  options.labels = "class";
  EXPECT_EQ(parse_csv("10,7\n2,3\n", "t", options).classes, (std::vector<std::string>{"10", "2"}));
  options.classes = {"2", "10", "30"};  // of the training file: another file's labels mean the same
  EXPECT_TRUE(at::equal(parse_csv("10,7\n2,3\n", "t", options).y, at::tensor({1, 0}, at::kLong)));
  EXPECT_FALSE(parse_csv("1,2\n", "t").y.defined());
}

TEST_F(CsvTest, AcceptsTheUsualSpellings) {
  const at::Tensor expected = at::tensor({1.f, 2.f, 3.f, 4.f}).reshape({2, 2});
  for (const std::string text :
       {"1,2\n3,4\n", "1,2\n3,4", "1,2\r\n3,4\r\n", "1,2\r3,4\r",
        "\xef\xbb\xbf"
        "1,2\n3,4\n",
        " 1 ,\t2\n3, 4 \n", "\"1\",\"2\"\n3,\"4\"\n", "\n1,2\n\n\n3,4\n\n", " \"1\" ,\"2\"\t\r3,\"4\"\r\n"}) {
    EXPECT_TRUE(at::equal(parse_csv(text, "t").x, expected)) << text;
  }
  EXPECT_EQ(parse_csv("\"a \"\"b\"\", c\",\"x\ny\"\n1,2\n", "t").columns,
            (std::vector<std::string>{"a \"b\", c", "x\ny"}));
  CsvOptions options;
  options.delimiter = '\t';
  EXPECT_TRUE(at::equal(parse_csv("1\t2\n3\t4\n", "t", options).x, expected));
  EXPECT_TRUE(at::equal(parse_csv("\"1\"\t \"2\"\n3\t\"4\" \n", "t", options).x, expected));
  EXPECT_EQ(parse_csv("1\n" + std::string(1 << 20, '0'), "t").x[1].item<float>(), 0) << "as long as a cell may be";
  options = {};
  options.header = true;
  EXPECT_EQ(parse_csv("0,1\n1,2\n", "t", options).columns, (std::vector<std::string>{"0", "1"}));
  EXPECT_TRUE(at::equal(read_csv(write("csv.gz", gzip("1,2\n") + gzip("3,4\n"))).x, expected));
}

// Names may be numbers, and a name that is asked for says that they are names.
TEST_F(CsvTest, ARowWithANameThatIsKnownIsAHeader) {
  const std::string text = "1,x,2\n3,4,5\n";
  EXPECT_NE(refusal([&] { parse_csv(text, "t"); }).find(":1, column 2: first row is neither names nor numbers"),
            std::string::npos);
  CsvOptions skip, categories;
  skip.skip = {"2"}, categories.categories = {"1"};
  for (const CsvOptions& options : {label("x"), label("2"), skip, categories})
    EXPECT_EQ(parse_csv(text, "t", options).x.size(0), 1);
  const std::string a(100, 'a'), b(98, 'b');
  EXPECT_EQ(refusal([&] { parse_csv(a + "," + b + ",c\n1,2,3\n", "t", label("y")); }),
            "t:1: no such label column; expected one of: " + a + ", " + b + "; got 'y'")
      << "of many names the first are told";
}

TEST_F(CsvTest, IgnoresTheLocale) {
  const char* before = std::setlocale(LC_ALL, "de_DE.UTF-8");
  EXPECT_EQ(parse_csv("1.5\n", "t").x.item<float>(), 1.5f);
  if (before) std::setlocale(LC_ALL, "C");
}

TEST_F(CsvTest, RefusesLies) {
  std::string bad_gzip = gzip("1,2\n3,4\n");
  const std::string cut_gzip = bad_gzip.substr(0, bad_gzip.size() - 9);
  bad_gzip[bad_gzip.size() - 6] ^= 1;  // the checksum
  expect_refused(
      path("lie"),
      {
          {"", "empty file"},
          {"\n\r\n\n", "empty file"},
          {"\xef\xbb\xbf", "empty file"},
          {"a,b\n", "no data under the header"},
          {"1,2\n3\n", ":2: ragged row; expected 2 columns (is the delimiter right?); got 1"},
          {"1\n2,3\n", ":2: ragged row; expected 1 columns (is the delimiter right?); got 2"},
          {"1,2\r\n3,4\r\n5\r\n", ":3: ragged row"},
          {"1,2\r3\r", ":2: ragged row"},
          {"\"x\r\ny\",b\r\n1\r\n", ":3: ragged row"},
          {"\"x\ry\",b\r1\r", ":3: ragged row"},
          {"\"x\r\ny\",b\n1,\"2\n",
           ":3, column 2: quote is not closed; expected a closing \"; got the end of the file (opened on line 3)"},
          {"1\nx\n", "(or a header and skip = { this column }); got 'x'"},
          {"a,b\n  ,1\n", ":2, column 1 ('a'): empty cell"},
          {"1,2\n3,4,5\n", ":2: ragged row; expected 2 columns; got 3"},
          {"a,b\n\"x\ny\",1\n1\n",
           "2, column 1 ('a'): not a number; expected a finite number that fits float32 (or skip = { 'a' } or "
           "categories = { 'a' }); got 'x?y'"},
          {"1;2\n3;4\n", "(is the delimiter right?)"},
          {"1,2\n\"3,4\n", ":2, column 1: quote is not closed"},
          {"1,2\n\"3\"x,4\n", ":2, column 1: text after a closing quote"},
          {"1,2\n\"3\"x23456789yz,4\n", "expected ',' or the line's end; got 'x23456789y'"},
          {std::string("1,2\n3,\0\n", 8), ":2, column 2: a zero byte"},
          {std::string("\xff\xfe") + std::string("1\0,\0", 4), "UTF-16 text; expected UTF-8"},
          {std::string("\xfe\xff") + std::string("\0"
                                                 "1\0,",
                                                 4),
           "UTF-16 text; expected UTF-8"},
          {std::string("1\0,\0", 4), "a zero byte"},
          {"w,h\n1,nan\n", ":2, column 2 ('h'): missing value"},
          {"w,h\n1,2\n-inf,4\n", ":3, column 1 ('w'): not finite"},
          {"1,2\n3,1e400\n", "number out of range"},
          {"1,2\n3,1e39\n", "number out of range"},
          {"1,2\n3,0x10\n", "a hexadecimal number; expected a finite number that fits float32 (or a header"},
          {"a,b\n3,0x10\n", "fits float32 (or skip = { 'b' }); got '0x10'"},
          {"\"\",b\nMazda,1\n",
           ":2, column 1: not a number; expected a finite number that fits float32 (or skip = "
           "{ '' } or categories = { '' }); got 'Mazda'"},
          {"a,b\n3,2024-01-31 12:00\n", ":2, column 2 ('b'): a date;"},
          {"a,b\n3,1/31/24\n", ":2, column 2 ('b'): a date;"},
          {"a,b\n3,1.31\n3,1.3.24\n", ":3, column 2 ('b'): a date;"},
          {"a,b\n3,9/9/99\n", "a date;"},
          {"a,b\n3,12345-1-1\n", "not a number;"},
          {"a,b\n3,/1/2\n", "not a number;"},
          {"a,b\n3,1-2-x\n", "not a number;"},
          {"a,b\n3,1-2/3\n", "not a number;"},
          {"a,b\n3,0X10\n", "a hexadecimal number"},
          {"a,b\n3,NA\n", "missing value; expected a finite number that fits float32 (or missing = 'drop'); got 'NA'"},
          {"a,b\n3,\n", "empty cell; expected a finite number that fits float32 (or missing = 'drop'); got ''"},
          {"1,2\n3,\"1,5\"\n",
           "not a number; expected a finite number that fits float32 (or a header and skip = { this column }); got "
           "'1,5'"},
          {"1,2\n3,\n", ":2, column 2: empty cell"},
          {"1,2\n3,4-5\n",
           "not a number; expected a finite number that fits float32 (or a header and skip = { this column }); got "
           "'4-5'"},
          {"1,2\n3,+-4\n", "got '+-4'"},
          {"1,2,cat\n3,4,dog\n", ":1, column 3: first row is neither names nor numbers"},
          {"1\n" + std::string((1 << 20) + 1, '1'), "field too long"},
          {bad_gzip, "damaged gzip"},
          {cut_gzip, "damaged gzip"},
          {gzip("1,2\n3\n"), "ragged row"},
      },
      [](const std::string& file) { read_csv(file); });
}

TEST_F(CsvTest, ColumnsOfWordsAreLeftOutOrNumbered) {
  CsvOptions options = label("y");
  options.skip = {"name"};
  options.categories = {"sex"};
  const Csv csv = parse_csv("name,sex,age,y\nann,f,3,1\nbob,m,4,0\neve,f,5,1\n", "t", options);
  EXPECT_TRUE(at::equal(csv.x, at::tensor({0.f, 3.f, 1.f, 4.f, 0.f, 5.f}).reshape({3, 2})));
  EXPECT_EQ(csv.columns, (std::vector<std::string>{"sex", "age"}));
  EXPECT_EQ(csv.levels.at(0), (std::vector<std::string>{"f", "m"}));
  // met in another order than that of the texts
  EXPECT_TRUE(at::equal(parse_csv("name,sex,age,y\nann,z,3,1\nbob,b,4,0\n", "t", options).x,
                        at::tensor({1.f, 3.f, 0.f, 4.f}).reshape({2, 2})));
  expect_refused(path("a"),
                 {{"sex,y\n1,2\n", "skip: no such column; expected one of: sex, y; got 'name'"},
                  {"name,y\n1,2\n", "categories: no such column"},
                  {"name,sex,y\na,,2\n", ":2, column 2 ('sex'): empty cell"},
                  {"1,2\n", "needs a header"}},
                 [&](const std::string& file) { read_csv(file, options); });
  options = {};
  options.skip = {"b"};
  expect_refused(path("b"), {{"1,2\n", "skip and categories need a header"}, {"b\n1\n", "no feature columns"}},
                 [&](const std::string& file) { read_csv(file, options); });
  options.label = "b";
  expect_refused(path("c"), {{"a,b\n1,2\n", "skip names the label; expected a feature; got 'b'"}},
                 [&](const std::string& file) { read_csv(file, options); });
}

TEST_F(CsvTest, RowsThatMissAValueCanBeLeftOut) {
  CsvOptions options = label("y");
  options.drop_missing = true;
  options.skip = {"note"};
  const Csv csv = parse_csv("a,note,y\n1,NA,0\nNA,x,1\n,x,1\n4,,1\n5,x,NA\nnan,x,1\n", "t", options);
  EXPECT_TRUE(at::equal(csv.x, at::tensor({1.f, 4.f}).reshape({2, 1})));
  EXPECT_TRUE(at::equal(csv.y, at::tensor({0, 1}, at::kLong)));
  EXPECT_EQ(csv.dropped, 4);
  expect_refused(path("a"), {{"a,note,y\nNA,x,1\n", "a value is missing in every row"}},
                 [&](const std::string& file) { read_csv(file, options); });
}

TEST_F(CsvTest, RefusesLabelsThatAreNotThere) {
  expect_refused(
      path("a"),
      {{"a,b\n1,2\n", "no such label column; expected one of: a, b; got 'c'"},
       {"1,2\n", "needs a header"},
       {"a,c,c\n1,2,3\n", "label column is named twice"},
       {"c\n1\n", "no feature columns"},
       {"a,c\n1,2\n1,x\n", ":3, column 2 ('c'): label is not a number, but those above are"},
       {"a,c\n1,\n", "empty label; expected a label (or missing = 'drop' or 'unlabelled'); got ''"},
       {"a,c\n1,2\n1,NA\n",
        ":3, column 2 ('c'): missing label; expected a label (or missing = 'drop' or 'unlabelled', or classes"},
       {"a,c\n1,cat\n1,NA\n", ":3, column 2 ('c'): missing label"},
       {"a,c\n1,nan\n", ":2, column 2 ('c'): missing label"}},
      [](const std::string& file) { read_csv(file, label("c")); });
  expect_refused(path("b"), {{"1,2\n", "no such label column; expected an index from -2 to 1; got 2"}},
                 [](const std::string& file) { read_csv(file, label_at(2)); });
  expect_refused(path("c"),
                 {{"1,cat\n2,cow\n", ":2, column 2: unknown class; expected one of the 2 given classes; got 'cow'"}},
                 [](const std::string& file) {
                   CsvOptions options = label_at(1);
                   options.classes = {"cat", "dog"};
                   read_csv(file, options);
                 });
}

TEST_F(CsvTest, KeepsRowsWithoutALabel) {
  CsvOptions options = label("c");
  options.keep_unlabelled = true;
  const auto mask = [](std::vector<int> bits) { return at::tensor(bits, at::kInt).to(at::kBool); };
  Csv csv = parse_csv("a,c\n1,\n2,cat\n3,NA\n4,ant\n", "t", options);  // the first row decides nothing
  EXPECT_TRUE(at::equal(csv.y, at::tensor({1, 0}, at::kLong)));
  EXPECT_TRUE(at::equal(csv.unlabelled, mask({1, 0, 1, 0})));
  EXPECT_EQ(csv.x.size(0), 4);
  csv = parse_csv("a,c\n1,?\n2,7\n", "t", options);
  EXPECT_TRUE(at::equal(csv.y, at::tensor({7}, at::kLong)));
  EXPECT_FALSE(parse_csv("a,c\n1,2\n", "t", options).unlabelled.defined());
  options.drop_missing = true;
  csv = parse_csv("a,c\n1,\n,cat\n3,dog\n", "t", options);
  EXPECT_TRUE(at::equal(csv.unlabelled, mask({1, 0})));
  EXPECT_EQ(csv.dropped, 1);
  options.classes = {"NA", "SA"};
  EXPECT_TRUE(at::equal(parse_csv("a,c\n1,\n2,NA\n", "t", options).y, at::tensor({0}, at::kLong)));
  EXPECT_TRUE(parse_csv("a,c\n1,\n", "t", options).unlabelled.all().item<bool>());
  options.classes = {};
  options.drop_missing = false;
  expect_refused(path("a"),
                 {{"a,c\n1,\n2,NA\n", "no row has a label; expected classes = { … }"},
                  {"a,c\n,1\n", "empty cell; expected a finite number"},
                  {"a,c\n1,\n1,2\n1,x\n", ":4, column 2 ('c'): label is not a number, but those above are"}},
                 [&](const std::string& file) { read_csv(file, options); });
}

TEST_F(CsvTest, AClassMayBeNamedLikeNothing) {
  CsvOptions options = label("c");
  options.classes = {"NA", "SA"};
  EXPECT_TRUE(at::equal(parse_csv("a,c\n1,SA\n2,NA\n", "t", options).y, at::tensor({1, 0}, at::kLong)));
  EXPECT_EQ(parse_csv("a,c\n1,None\n2,?\n", "t", label("c")).classes, (std::vector<std::string>{"?", "None"}));
  options = label("c");
  options.labels = "value";
  expect_refused(path("a"),
                 {{"a,c\n1,x\n", "label is not a number; expected a number (or labels = 'classes'); got 'x'"}},
                 [&](const std::string& file) { read_csv(file, options); });
}

TEST_F(CsvTest, OptionsThatCannotBe) {
  const auto says = [](const CsvOptions& options, const std::string& text = "a,b\n1,2\n") {
    return refusal([&] { parse_csv(text, "t", options); });
  };
  CsvOptions options = label("b");
  options.label_index = 1;
  EXPECT_EQ(says(options), "t: two label columns; expected a name or an index; got both");
  options = {};
  for (const char bad : std::string("\"\r\n0123456789.+-\0", 17)) {
    options.delimiter = bad;
    EXPECT_EQ(says(options).find("t: unusable delimiter; expected one like ',' ';' or a tab; got '"), 0u) << bad;
  }
  options = label("b");
  options.labels = "number";
  EXPECT_EQ(says(options), "t: unknown labels; expected 'auto', 'class' or 'value'; got 'number'");
  options.labels = "value", options.classes = {"1", "2"};
  EXPECT_EQ(says(options), "t: classes of values; expected labels 'class'; got 'value'");
  EXPECT_EQ(says(label("b"), "a,b\n1,2\n1,1e400\n"),
            "t:3, column 2 ('b'): number out of range; expected a finite number that fits float32; got '1e400'");
}

TEST_F(CsvTest, LongCellsAreShownByTheirFirstFortyBytes) {
  for (const auto& [length, shown] : {std::pair{39, 39}, {40, 40}, {41, 40}}) {
    const std::string said = refusal([&, n = length] { parse_csv("1\n" + std::string(n, 'x') + "\n", "t"); });
    EXPECT_NE(said.find("; got '" + std::string(shown, 'x') + (length > 40 ? "…'" : "'")), std::string::npos) << said;
  }
}

TEST_F(CsvTest, WholeLabelsAreThoseBelowTwoToThe53) {
  for (const auto& [text, whole] : std::vector<std::pair<const char*, bool>>{
           {"9007199254740991", true}, {"-9007199254740991", true}, {"9007199254740992", false}, {"0.5", false}}) {
    const at::Tensor y = parse_csv(std::string("1,3\n2,") + text + "\n", "t", label_at(1)).y;
    EXPECT_EQ(y.scalar_type(), whole ? at::kLong : at::kFloat) << text;
    EXPECT_EQ(y[1].item<double>(), whole ? std::stod(text) : static_cast<float>(std::stod(text))) << text;
  }
}

TEST_F(CsvTest, BoundsWhatAGzipHolds) {
  const std::string packed = gzip(std::string(1 << 20, '1'));
  EXPECT_EQ(gunzip(packed, "t", 1 << 20).size(), size_t{1} << 20);
  EXPECT_THROW(gunzip(packed, "t", (1 << 20) - 1), Error);
}

TEST_F(CsvTest, SurvivesMutations) {
  expect_no_crash(path("m"), "width,height,kind\n1,2.5,\"cat\"\n-3,4e2,dog\n5,.5,cat\n", 800,
                  [](const std::string& file) { read_csv(file, label("kind")); });
  expect_no_crash(path("z"), gzip("1,2\n3,4\n5,6\n7,8\n"), 300, [](const std::string& file) { read_csv(file); });
}

TEST(DigitsTest, HoldsTheDataSet) {
  const auto [x, y] = digits();
  EXPECT_EQ(x.sizes().vec(), (std::vector<int64_t>{1797, 1, 8, 8}));
  EXPECT_EQ(x.scalar_type(), at::kFloat);
  EXPECT_EQ(x.min().item<float>(), 0.f);
  EXPECT_EQ(x.max().item<float>(), 1.f);
  // Sums that scikit-learn 1.9.1's load_digits gives: all pixels, pixels of the first image, images of each class.
  EXPECT_EQ((x * 16).sum(at::kDouble).item<double>(), 561718.0);
  EXPECT_EQ((x[0] * 16).sum().item<float>(), 294.f);
  EXPECT_TRUE(at::equal(y.bincount(), at::tensor({178, 182, 177, 183, 181, 182, 181, 179, 174, 180}, at::kLong)));
}

}  // namespace
}  // namespace gradus
