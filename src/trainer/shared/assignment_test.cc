#include "trainer/shared/assignment.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tensorflow/core/framework/tensor.h"
#include "trainer/shared/graph_edit.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::DT_FLOAT;
using ::tensorflow::DT_INT64;
using ::tensorflow::Node;

// Tables that a model gathers from and updates by rows.
class AssignmentTest : public ::testing::Test {
 protected:
  void AddTable(const std::string& name, std::int64_t rows, std::int64_t width) {
    SharedVariable variable;
    variable.node = name;
    variable.dtype = DT_FLOAT;
    variable.shape = {rows, width};
    variables_[name] = variable;
    Node* table = edit_.Add(name, "VarHandleOp", {},
                            {Attr("dtype", DT_FLOAT), Attr("shape", variable.shape)});
    Node* ids = edit_.Scalar(name + "_ids", std::int64_t{0});
    Node* rows_of =
        edit_.Add(name + "_rows", "ResourceGather", {table, ids}, {Attr("dtype", DT_FLOAT)});
    tensorflow::NameAttrList update;
    update.set_name("update");
    edit_.Add(name + "_update", "StatefulPartitionedCall",
              {GraphEdit::Outs{{ids, 0}, {rows_of, 0}, {table, 0}}},
              {Attr("Tout", std::vector<tensorflow::DataType>()), Attr("f", update),
               Attr(kSparseUpdateAttr, "table")});
    ASSERT_TRUE(edit_.status().ok()) << edit_.status();
  }
  // Of tables that are not cut; how many lie on each server.
  std::map<int, int> Whole() const {
    std::map<int, int> counts;
    for (const auto& [name, variable] : variables_) {
      if (variable.shards.empty()) ++counts[variable.server];
    }
    return counts;
  }

  tensorflow::Graph graph_{tensorflow::OpRegistry::Global()};
  GraphEdit edit_{"", &graph_};
  SharedVariables variables_;
};

// Each cut costs every step a message of its own in every direction.
TEST_F(AssignmentTest, TablesOfLittleWeightLieAsAWhole) {
  for (int i = 0; i < 26; ++i) AddTable("table_" + std::to_string(i), 100'000, 16);
  AssignServers(graph_, 2, &variables_);
  EXPECT_EQ(Whole(), (std::map<int, int>{{0, 13}, {1, 13}}));
}

TEST_F(AssignmentTest, TablesThatWouldUnbalanceTheServersAreCut) {
  for (int i = 0; i < 26; ++i) AddTable("table_" + std::to_string(i), 100'000, 16);
  AddTable("users", 2'000'000, 16);
  AssignServers(graph_, 2, &variables_);
  EXPECT_EQ(Whole(), (std::map<int, int>{{0, 13}, {1, 13}}));
  const std::vector<TableShard>& shards = variables_["users"].shards;
  ASSERT_EQ(shards.size(), 2u);
  EXPECT_EQ(shards[0].rows, 1'000'000);
  EXPECT_EQ(shards[1].begin, 1'000'000);
}

TEST_F(AssignmentTest, ATableByItselfIsCutUnlessItIsTiny) {
  AddTable("table", 20'000, 16);
  AssignServers(graph_, 4, &variables_);
  EXPECT_EQ(variables_["table"].shards.size(), 4u);
  variables_["table"].shards.clear();
  variables_["table"].shape = {2'000, 16};
  AssignServers(graph_, 4, &variables_);
  EXPECT_EQ(Whole(), (std::map<int, int>{{0, 1}}));
}

}  // namespace
}  // namespace headrace::trainer
