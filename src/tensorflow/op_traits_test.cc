#include "tensorflow/op_traits.h"

#include <gtest/gtest.h>

#include <string>

#include "tensorflow/core/framework/op.h"
#include "tensorflow/node_reason.h"

namespace headrace {
namespace {

TEST(OpTraitsTest, EveryListedOpExists) {
  for (const std::string_view op : ListedOps()) {
    const tensorflow::OpRegistrationData* data = nullptr;
    EXPECT_TRUE(tensorflow::OpRegistry::Global()->LookUp(std::string(op), &data).ok()) << op;
  }
}

TEST(OpTraitsTest, FamiliesAreFoundByName) {
  EXPECT_EQ(LookUpOp("ResourceApplyAdagradV2"), OpGroup::kVariableWrite);
  EXPECT_EQ(LookUpOp("ResourceSparseApplyAdagrad"), OpGroup::kVariableWrite);
  EXPECT_EQ(LookUpOp("ResourceScatterUpdate"), OpGroup::kVariableWrite);
  EXPECT_EQ(LookUpOp("ParallelMapDatasetV2"), OpGroup::kDataset);
  EXPECT_EQ(LookUpOp("MatMul"), OpGroup::kUnlisted);
}

// An op that only its stateful flag keeps out must not become pure when TensorFlow drops the flag.
TEST(OpTraitsTest, EffectsThatTensorFlowDoesNotFlag) {
  EXPECT_EQ(LookUpOp("ScalarSummary"), OpGroup::kSummary);
  EXPECT_EQ(LookUpOp("PyFuncStateless"), OpGroup::kPyFunc);
  EXPECT_EQ(LookUpOp("ReadFile"), OpGroup::kFileRead);
  EXPECT_EQ(LookUpOp("QueueEnqueue"), OpGroup::kQueueWrite);
}

TEST(OpTraitsTest, RandomOpsThatAreNoDraws) {
  // A random op whose input is data is no draw, since its value depends on more than its count.
  EXPECT_EQ(LookUpOp("RandomShuffle"), OpGroup::kUnlisted);
  EXPECT_EQ(LookUpOp("LogUniformCandidateSampler"), OpGroup::kUnlisted);
  EXPECT_EQ(LookUpOp("StatelessRandomUniformV2"), OpGroup::kUnlisted);
  EXPECT_EQ(LookUpOp("StatefulUniform"), OpGroup::kVariableWrite);
}

TEST(OpTraitsTest, EveryEffectHasAReason) {
  for (const std::string_view op : ListedOps()) {
    const OpGroup group = LookUpOp(op);
    const EffectReason reason = ReasonOfGroup(group);
    EXPECT_EQ(reason.code == plan::ReasonCode::kNone, reason.text.empty()) << op;
  }
}

TEST(OpTraitsTest, CostsSeparateParsingFromRenaming) {
  EXPECT_GT(OpCost("DecodeCSV"), 50 * OpCost("AddV2"));
  EXPECT_LT(OpCost("Reshape"), OpCost("AddV2"));
  EXPECT_TRUE(IsMetadataOp("ExpandDims"));
  EXPECT_FALSE(IsMetadataOp("AddV2"));
  EXPECT_TRUE(IsCheapOnSmall("StridedSlice"));
}

}  // namespace
}  // namespace headrace
