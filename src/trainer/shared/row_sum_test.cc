#include "trainer/shared/row_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/public/session.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::DT_FLOAT;
using ::tensorflow::DT_INT32;
using ::tensorflow::DT_INT64;
using ::tensorflow::Node;
using ::tensorflow::Tensor;

class RowSumTest : public ::testing::TestWithParam<tensorflow::DataType> {
 protected:
  RowSumTest() {
    tensorflow::Graph graph(tensorflow::OpRegistry::Global());
    GraphEdit edit("", &graph);
    const auto feed = [&edit](const char* name, tensorflow::DataType dtype) {
      return edit.Add(name, "Placeholder", {}, {Attr("dtype", dtype)});
    };
    Node* values = edit.Add("cast", "Cast", {feed("values", DT_FLOAT)}, {Attr("DstT", GetParam())});
    const RowMean mean =
        AddRowMean({"s/", "sum", GetParam(), {100, 2}}, {feed("rows", DT_INT64), 0}, values,
                   feed("place", DT_INT64), feed("count", DT_INT32), &edit);
    edit.Add("add", "NoOp", {}, {}, {mean.add});
    edit.Add("mean_rows", "Identity", {mean.indices});
    edit.Add("mean_values", "Cast", {mean.values}, {Attr("DstT", DT_FLOAT)});
    TF_CHECK_OK(edit.status());
    tensorflow::GraphDef def;
    graph.ToGraphDef(&def);
    session_.reset(tensorflow::NewSession({}));
    TF_CHECK_OK(session_->Create(def));
  }

  // Each row's two values are its own value, and that plus 1.
  void Add(std::int64_t place, const std::vector<std::pair<std::int64_t, float>>& gradient) {
    const auto size = static_cast<std::int64_t>(gradient.size());
    Tensor rows(DT_INT64, {size}), values(DT_FLOAT, {size, 2});
    for (std::int64_t i = 0; i < size; ++i) {
      rows.vec<std::int64_t>()(i) = gradient[i].first;
      values.matrix<float>()(i, 0) = gradient[i].second;
      values.matrix<float>()(i, 1) = gradient[i].second + 1;
    }
    TF_CHECK_OK(session_->Run({{"rows", rows}, {"values", values}, {"place", Tensor(place)}}, {},
                              {"add"}, nullptr));
  }

  std::map<std::int64_t, std::vector<float>> Mean(int count) {
    std::vector<Tensor> got;
    TF_CHECK_OK(
        session_->Run({{"count", Tensor(count)}}, {"mean_rows:0", "mean_values:0"}, {}, &got));
    std::map<std::int64_t, std::vector<float>> mean;
    for (std::int64_t i = 0; i < got[0].NumElements(); ++i) {
      const auto values = got[1].matrix<float>();
      const bool is_new =
          mean.insert({got[0].vec<std::int64_t>()(i), {values(i, 0), values(i, 1)}}).second;
      EXPECT_TRUE(is_new) << "a row comes once";
    }
    return mean;
  }

  std::unique_ptr<tensorflow::Session> session_;
};

using Rows = std::map<std::int64_t, std::vector<float>>;

TEST_P(RowSumTest, SharedRowsAreSummedAndDividedByTheNumberOfGradients) {
  Add(0, {{7, 2}, {3, 4}, {99, 6}});  // not sorted, as tf.unique gives them
  Add(1, {{99, 8}, {7, 10}, {0, 12}});
  EXPECT_EQ(Mean(2), (Rows{{0, {6, 6.5}}, {3, {2, 2.5}}, {7, {6, 7}}, {99, {7, 8}}}));
}

TEST_P(RowSumTest, EachStepBeginsWithNothing) {
  Add(0, {{1, 1}});
  EXPECT_EQ(Mean(1), (Rows{{1, {1, 2}}}));
  Add(0, {{2, 1}});
  Add(1, {{2, 3}});
  Add(2, {{2, 5}});
  EXPECT_EQ(Mean(3), (Rows{{2, {3, 4}}}));
}

TEST_P(RowSumTest, AGradientWithoutRowsCounts) {
  Add(0, {});
  Add(1, {{5, 4}});
  EXPECT_EQ(Mean(2), (Rows{{5, {2, 2.5}}}));
  Add(0, {});
  EXPECT_EQ(Mean(1), Rows{});
}

INSTANTIATE_TEST_SUITE_P(Dtypes, RowSumTest,
                         ::testing::Values(DT_FLOAT, tensorflow::DT_DOUBLE, tensorflow::DT_HALF),
                         [](const auto& info) { return tensorflow::DataTypeString(info.param); });

}  // namespace
}  // namespace headrace::trainer
