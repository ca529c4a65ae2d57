#include "tensorflow/options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"

namespace headrace {
namespace {

using Carrier = ::tensorflow::RewriterConfig_CustomGraphOptimizer;

class Builder {
 public:
  Builder() { carrier_.set_name(kCarrierName); }
  Builder& Int(const std::string& key, std::int64_t value) {
    (*carrier_.mutable_parameter_map())[key].set_i(value);
    return *this;
  }
  Builder& Bool(const std::string& key, bool value) {
    (*carrier_.mutable_parameter_map())[key].set_b(value);
    return *this;
  }
  Builder& Text(const std::string& key, const std::string& value) {
    (*carrier_.mutable_parameter_map())[key].set_s(value);
    return *this;
  }
  Builder& Ints(const std::string& key, const std::vector<std::int64_t>& values) {
    auto* list = (*carrier_.mutable_parameter_map())[key].mutable_list();
    for (const std::int64_t value : values) list->add_i(value);
    return *this;
  }
  Builder& Texts(const std::string& key, const std::vector<std::string>& values) {
    auto* list = (*carrier_.mutable_parameter_map())[key].mutable_list();
    for (const std::string& value : values) list->add_s(value);
    return *this;
  }
  Builder& Pools(const std::vector<std::int64_t>& inter, const std::vector<std::int64_t>& intra,
                 const std::vector<std::string>& names) {
    return Ints("pool_inter_op_threads", inter)
        .Ints("pool_intra_op_threads", intra)
        .Texts("pool_names", names);
  }
  const Carrier& carrier() const { return carrier_; }

 private:
  Carrier carrier_;
};

StageOptions Parsed(const Builder& builder) {
  StageOptions options;
  const Status status = ParseStageOptions(builder.carrier(), &options);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return options;
}

std::string ErrorOf(const Builder& builder) {
  StageOptions options;
  options.tag = "untouched";
  const Status status = ParseStageOptions(builder.carrier(), &options);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(options.tag, "untouched");
  return status.message();
}

TEST(OptionsTest, EmptyMessageGivesTheDefaults) {
  const StageOptions options = Parsed(Builder());
  EXPECT_TRUE(options.smart);
  EXPECT_EQ(options.capacity, stage::kAutotune);
  EXPECT_EQ(options.num_threads, stage::kAutotune);
  EXPECT_EQ(options.num_clients, 1);
  EXPECT_EQ(options.timeout_millis, 300000);
  EXPECT_EQ(options.closed_codes, std::vector<Code>{Code::kOutOfRange});
  EXPECT_TRUE(options.ignored_codes.empty());
  EXPECT_EQ(options.ignored_limit, 1000);
  EXPECT_FALSE(options.largest_cut);
}

TEST(OptionsTest, EveryKeyArrives) {
  const StageOptions options = Parsed(Builder()
                                          .Int("version", 1)
                                          .Bool("smart", false)
                                          .Int("capacity", 8)
                                          .Int("num_threads", 4)
                                          .Int("num_clients", 2)
                                          .Int("timeout_millis", 0)
                                          .Ints("closed_codes", {5})
                                          .Ints("ignored_codes", {3, 15})
                                          .Int("ignored_limit", 7)
                                          .Bool("use_stage_subgraph_thread_pool", true)
                                          .Int("stage_subgraph_thread_pool_id", 1)
                                          .Pools({2, 3}, {4, 5}, {"first", "second"})
                                          .Bool("stage_subgraph_on_cpu", true)
                                          .Int("stage_subgraph_stream_id", 1)
                                          .Int("streams", 2)
                                          .Text("cut", "largest")
                                          .Texts("exclude", {"a", "b/c"})
                                          .Int("budget_bytes", 1 << 20)
                                          .Text("name", "input")
                                          .Text("tag", "t")
                                          .Text("dump_graph", "/x.pbtxt"));
  EXPECT_FALSE(options.smart);
  EXPECT_EQ(options.capacity, 8);
  EXPECT_EQ(options.num_threads, 4);
  EXPECT_EQ(options.num_clients, 2);
  EXPECT_EQ(options.timeout_millis, 0);
  EXPECT_EQ(options.closed_codes, std::vector<Code>{Code::kNotFound});
  EXPECT_EQ(options.ignored_codes, (std::vector<Code>{Code::kInvalidArgument, Code::kDataLoss}));
  EXPECT_EQ(options.ignored_limit, 7);
  EXPECT_TRUE(options.use_stage_subgraph_thread_pool);
  EXPECT_EQ(options.stage_subgraph_thread_pool_id, 1);
  ASSERT_EQ(options.thread_pools.size(), 2u);
  EXPECT_EQ(options.thread_pools[1].name, "second");
  EXPECT_EQ(options.thread_pools[1].inter_op_threads, 3);
  EXPECT_EQ(options.thread_pools[1].intra_op_threads, 5);
  EXPECT_TRUE(options.stage_subgraph_on_cpu);
  EXPECT_EQ(options.stage_subgraph_stream_id, 1);
  EXPECT_EQ(options.streams, 2);
  EXPECT_TRUE(options.largest_cut);
  EXPECT_EQ(options.exclude, (std::vector<std::string>{"a", "b/c"}));
  EXPECT_EQ(options.budget_bytes, 1 << 20);
  EXPECT_EQ(options.name, "input");
  EXPECT_EQ(options.tag, "t");
  EXPECT_EQ(options.dump_graph, "/x.pbtxt");
}

TEST(OptionsTest, ErrorsNameFieldValueAndRange) {
  EXPECT_EQ(ErrorOf(Builder().Int("capacity", -2)),
            "Headrace options: capacity is -2, but must be >= 0, or -1 (AUTOTUNE)");
  EXPECT_EQ(ErrorOf(Builder().Int("num_threads", 5000)),
            "Headrace options: num_threads is 5000, but must be in [1, 4096], or -1 (AUTOTUNE)");
  EXPECT_EQ(ErrorOf(Builder().Int("num_clients", -1)),
            "Headrace options: num_clients is -1, but must be >= 1");
  EXPECT_EQ(ErrorOf(Builder().Int("timeout_millis", -5)),
            "Headrace options: timeout_millis is -5, but must be >= 0");
  EXPECT_EQ(ErrorOf(Builder().Ints("ignored_codes", {3, 17})),
            "Headrace options: ignored_codes[1] is 17, but must be in [1, 16]");
  EXPECT_EQ(ErrorOf(Builder().Text("cut", "small")),
            "Headrace options: cut is 'small', but must be 'auto' or 'largest'");
  EXPECT_EQ(ErrorOf(Builder().Text("capacity", "8")),
            "Headrace options: capacity must be an integer (AttrValue.i)");
  EXPECT_EQ(ErrorOf(Builder().Int("smart", 1)),
            "Headrace options: smart must be a boolean (AttrValue.b)");
  EXPECT_EQ(ErrorOf(Builder().Int("depth", 1)), "Headrace options: there is no option 'depth'");
  EXPECT_NE(ErrorOf(Builder().Text("name", "a b")).find("name is 'a b'"), std::string::npos);
}

TEST(OptionsTest, NewerVersionIsRefusedWhateverElseItHolds) {
  const std::string error = ErrorOf(Builder().Int("version", 2).Int("from_the_future", 1));
  EXPECT_NE(error.find("version is 2, but this library understands versions up to 1"),
            std::string::npos)
      << error;
}

TEST(OptionsTest, AnErrorIsEitherEndOfDataOrSkipped) {
  EXPECT_EQ(
      ErrorOf(Builder().Ints("ignored_codes", {11})),
      "Headrace options: closed_codes and ignored_codes both hold OUT_OF_RANGE: an error either "
      "means end of data or is skipped");
}

TEST(OptionsTest, ThreadPoolMustExist) {
  EXPECT_NE(
      ErrorOf(Builder().Bool("use_stage_subgraph_thread_pool", true)).find("no pool is configured"),
      std::string::npos);
  EXPECT_EQ(ErrorOf(Builder()
                        .Bool("use_stage_subgraph_thread_pool", true)
                        .Int("stage_subgraph_thread_pool_id", 2)
                        .Pools({1, 1}, {1, 1}, {"a", "b"})),
            "Headrace options: stage_subgraph_thread_pool_id is 2, but must be in [0, 1]");
  EXPECT_NE(ErrorOf(Builder().Pools({1, 1}, {1}, {"a", "b"})).find("have 2, 1 and 2 entries"),
            std::string::npos);
  // Not used, so it need not exist.
  EXPECT_EQ(Parsed(Builder().Int("stage_subgraph_thread_pool_id", 2)).stage_subgraph_thread_pool_id,
            2);
}

TEST(OptionsTest, StreamMustExist) {
  EXPECT_EQ(
      ErrorOf(Builder().Int("stage_subgraph_stream_id", 1)),
      "Headrace options: stage_subgraph_stream_id is 1, but must be in [0, 0] as streams is 0");
  EXPECT_EQ(
      ErrorOf(Builder().Int("stage_subgraph_stream_id", 2).Int("streams", 2)),
      "Headrace options: stage_subgraph_stream_id is 2, but must be in [0, 1] as streams is 2");
}

TEST(OptionsTest, OverridesWinKeyByKey) {
  Carrier base = Builder().Int("capacity", 3).Int("num_threads", 2).carrier();
  const Builder override = Builder().Int("capacity", 9);
  ASSERT_TRUE(MergeOptions(override.carrier().SerializeAsString(), &base).ok());
  StageOptions options;
  ASSERT_TRUE(ParseStageOptions(base, &options).ok());
  EXPECT_EQ(options.capacity, 9);
  EXPECT_EQ(options.num_threads, 2);
}

TEST(OptionsTest, BytesThatAreNoOptionsAreRefused) {
  StageOptions options;
  EXPECT_EQ(ParseStageOptions("\xff\xff", &options).code(), Code::kInvalidArgument);
  Carrier other;
  other.set_name("Toco");
  EXPECT_NE(ParseStageOptions(other.SerializeAsString(), &options).message().find("named 'Toco'"),
            std::string::npos);
}

TEST(OptionsTest, EqualOptionsSerializeEqually) {
  Builder forward, backward;
  for (int i = 0; i < 20; ++i) forward.Int("key" + std::to_string(i), i);
  for (int i = 19; i >= 0; --i) backward.Int("key" + std::to_string(i), i);
  EXPECT_EQ(SerializeOptions(forward.carrier()), SerializeOptions(backward.carrier()));
}

}  // namespace
}  // namespace headrace
