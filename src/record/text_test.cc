#include "record/testing.h"

namespace headrace::record::testing {
namespace {

OpenOptions As(Format format, char delimiter = ',') {
  OpenOptions options;
  options.format = format;
  options.delimiter = delimiter;
  return options;
}

Records Lines(const std::string& text, const OpenOptions& options = As(Format::kText)) {
  Records records;
  const Status status = ReadAllBytes("a", text, options, &records);
  return status.ok() ? records : Records{status.ToString()};
}

TEST(TextTest, LineEnds) {
  EXPECT_EQ(Lines(""), Records{});
  EXPECT_EQ(Lines("\n"), Records{""});
  EXPECT_EQ(Lines("a\nb\n"), (Records{"a", "b"}));
  EXPECT_EQ(Lines("a\nb"), (Records{"a", "b"}));
  EXPECT_EQ(Lines("a\r\n\r\nb\r\n"), (Records{"a", "", "b"}));
  EXPECT_EQ(Lines("a\r\r\nb\rc\n"), (Records{"a\r", "b\rc"}));
  EXPECT_EQ(Lines("a\r"), Records{"a\r"});  // no line's end
  EXPECT_EQ(Lines("\"a\nb\""), (Records{"\"a", "b\""}));
}

TEST(TextTest, QuotedLineEndsStayInTheCsvRecord) {
  const OpenOptions csv = As(Format::kCsv);
  EXPECT_EQ(Lines("a,\"b\nc\"\nd", csv), (Records{"a,\"b\nc\"", "d"}));
  EXPECT_EQ(Lines("\"a\r\nb\"\r\nc\r\n", csv), (Records{"\"a\r\nb\"", "c"}));
  EXPECT_EQ(Lines("\"a\"\"\nb\"\nc\n", csv), (Records{"\"a\"\"\nb\"", "c"}));
  EXPECT_EQ(Lines("\"\"\nb\n", csv), (Records{"\"\"", "b"}));
  EXPECT_EQ(Lines("\"\"\"\n\"\nb\n", csv), (Records{"\"\"\"\n\"", "b"}));
  EXPECT_EQ(Lines("5\" pipe,1\n6\" pipe,2\n", csv), (Records{"5\" pipe,1", "6\" pipe,2"}));
  EXPECT_EQ(Lines("a\t\"b\nc\"\nd", As(Format::kCsv, '\t')), (Records{"a\t\"b\nc\"", "d"}));
}

TEST(TextTest, AQuoteThatIsNeverClosedIsNamed) {
  const Records found = Lines("ab\ncd,\"e\nf\n", As(Format::kCsv));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("a: byte 3: a quote"), std::string::npos) << found[0];
}

TEST(TextTest, LinesLongerThanTheWindow) {
  const Records lines = {std::string(700000, 'a'), "", std::string(262144, 'b'),
                         std::string(300000, 'c')};
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  EXPECT_EQ(Lines(text), lines);
  std::string csv;
  Records quoted;
  for (const std::string& line : lines) {
    quoted.push_back("\"" + line + "\n" + line + "\"");
    csv += quoted.back() + "\n";
  }
  EXPECT_EQ(Lines(csv, As(Format::kCsv)), quoted);
}

TEST(TextTest, ATooLongLineIsNamed) {
  OpenOptions options = As(Format::kText);
  options.max_record_bytes = 1000;
  EXPECT_EQ(Lines(std::string(1000, 'a'), options).size(), 1u);
  const Records found = Lines("b\n" + std::string(1001, 'a') + "\n", options);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found[0].find("RESOURCE_EXHAUSTED: a: byte 2: a record of more than 1000 bytes"),
            std::string::npos)
      << found[0];
  EXPECT_EQ(Lines(std::string(3000000, 'a'), options)[0].substr(0, 18), "RESOURCE_EXHAUSTED");
}

// A slow and plain reading of RFC 4180.
Records SlowCsv(const std::string& text) {
  Records records;
  std::string record;
  bool quoted = false;
  bool field_begin = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      record += c;
      if (c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
        record += text[++i];
      } else if (c == '"') {
        quoted = false;
      }
      field_begin = false;
    } else if (c == '\n') {
      if (!record.empty() && record.back() == '\r') record.pop_back();
      records.push_back(record);
      record.clear();
      field_begin = true;
    } else {
      record += c;
      quoted = c == '"' && field_begin;
      field_begin = c == ',';
    }
  }
  if (quoted) return {"never closed"};
  if (!text.empty() && text.back() != '\n') records.push_back(record);
  return records;
}

TEST(TextTest, RandomCsvAgreesWithTheSlowReading) {
  Random random(7);
  int closed = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text(random.Below(40), '\0');
    for (char& c : text) c = "ab,\"\"\n\r"[random.Below(7)];
    const Records expected = SlowCsv(text);
    const Records found = Lines(text, As(Format::kCsv));
    if (expected == Records{"never closed"}) {
      ASSERT_EQ(found.at(0).substr(0, 9), "DATA_LOSS") << text;
    } else {
      ASSERT_EQ(found, expected) << text;
      ++closed;
    }
  }
  EXPECT_GT(closed, 5000);
}

}  // namespace
}  // namespace headrace::record::testing
