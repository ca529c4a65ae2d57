#include "trainer/shared/shared_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/util/tensor_bundle/tensor_bundle.h"
#include "trainer/shared/assignment.h"
#include "trainer/shared/graph_edit.h"
#include "trainer/shared/model_servers.h"
#include "trainer/shared/saver.h"
#include "trainer/shared/testing.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::DT_FLOAT;
using ::tensorflow::DT_INT64;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::Tensor;
using ::tensorflow::TensorShape;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr std::int64_t kRows = 20'000, kWidth = 2;  // large enough to be cut in two

// w -= 0.1 * sum of the rows; row -= 0.5 * w of before, for each row once; step += 1. Loss: the sum
// of the rows times w. `ids` is fed.
class Model {
 public:
  Model() : graph_(tensorflow::OpRegistry::Global()), edit_("", &graph_) {
    tensorflow::FunctionDefLibrary library;
    *library.add_function() = Update();
    TF_CHECK_OK(graph_.AddFunctionLibrary(library));
    table_ = Variable("table", DT_FLOAT, {kRows, kWidth});
    weight_ = Variable("weight", DT_FLOAT, {kWidth});
    step_ = Variable("step", DT_INT64, {});
    AddRestore();
    AddTrain();
    TF_CHECK_OK(edit_.status());
  }

  RuntimeGraph Runtime() const {
    RuntimeGraph runtime;
    graph_.ToGraphDef(&runtime.graph);
    for (Pipeline* pipeline : {&runtime.train, &runtime.evaluate, &runtime.predict}) {
      pipeline->begin = pipeline->end = "begin";
      pipeline->identities = "ids:0";
    }
    runtime.train.outputs = {"loss:0", "step_after:0"};
    runtime.predict.outputs = {"rows:0"};
    return runtime;
  }

 private:
  // rows: int64, values, rate: float, table: resource.
  static tensorflow::FunctionDef Update() {
    tensorflow::FunctionDef function;
    auto* signature = function.mutable_signature();
    signature->set_name("update");
    signature->set_is_stateful(true);
    const std::vector<std::pair<std::string, tensorflow::DataType>> args{
        {"rows", DT_INT64},
        {"values", DT_FLOAT},
        {"rate", DT_FLOAT},
        {"table", tensorflow::DT_RESOURCE}};
    for (const auto& [name, type] : args) {
      auto* arg = signature->add_input_arg();
      arg->set_name(name);
      arg->set_type(type);
    }
    auto* scaled = function.add_node_def();
    scaled->set_name("scaled");
    scaled->set_op("Mul");
    for (const char* input : {"values", "rate"}) scaled->add_input(input);
    tensorflow::AddNodeAttr("T", DT_FLOAT, scaled);
    auto* write = function.add_node_def();
    write->set_name("write");
    write->set_op("ResourceScatterSub");
    for (const char* input : {"table", "rows", "scaled:z:0"}) write->add_input(input);
    tensorflow::AddNodeAttr("dtype", DT_FLOAT, write);
    tensorflow::AddNodeAttr("Tindices", DT_INT64, write);
    signature->add_control_output("write");
    (*function.mutable_control_ret())["write"] = "write";
    return function;
  }

  Node* Variable(const std::string& name, tensorflow::DataType dtype, const TensorShape& shape) {
    return edit_.Add(name, "VarHandleOp", {},
                     {Attr("dtype", dtype), Attr("shape", shape), Attr("shared_name", name)});
  }

  // As the saver of a SavedModel: it says which key is whose.
  void AddRestore() {
    Node* prefix = edit_.Add("prefix", "Placeholder", {}, {Attr("dtype", tensorflow::DT_STRING)});
    Tensor keys(tensorflow::DT_STRING, {3}), slices(tensorflow::DT_STRING, {3});
    for (int i = 0; i < 3; ++i) {
      keys.flat<tensorflow::tstring>()(i) = std::vector<std::string>{"TABLE", "WEIGHT", "STEP"}[i];
    }
    const std::vector<tensorflow::DataType> types{DT_FLOAT, DT_FLOAT, DT_INT64};
    Node* read = edit_.Add("read", "RestoreV2",
                           {prefix, edit_.Constant("keys", keys), edit_.Constant("slices", slices)},
                           {Attr("dtypes", types)});
    int i = 0;
    for (Node* variable : {table_, weight_, step_}) {
      edit_.Add("assign_" + variable->name(), "AssignVariableOp",
                {variable, GraphEdit::Out(read, i)}, {Attr("dtype", types[i])});
      ++i;
    }
  }

  void AddTrain() {
    edit_.Add("begin", "NoOp");
    Node* ids =
        edit_.Add("ids", "Placeholder", {},
                  {Attr("dtype", DT_INT64), Attr("shape", tensorflow::PartialTensorShape({-1}))});
    Node* rows = edit_.Add("rows", "ResourceGather", {table_, ids}, {Attr("dtype", DT_FLOAT)});
    Node* weight = edit_.Add("read_weight", "ReadVariableOp", {weight_}, {Attr("dtype", DT_FLOAT)});
    Node* sum = edit_.Add("sum", "Sum", {rows, edit_.Scalar("axis", 0)});
    Node* loss = edit_.Add("product", "Mul", {sum, weight});
    loss = edit_.Add("total", "Sum", {loss, edit_.Scalar("axis_of_loss", 0)});

    Node* of_weight = Gradient("gradient_of_weight", sum, 0);
    Node* scaled = edit_.Add("scaled", "Mul", {of_weight, edit_.Scalar("rate", 0.1F)});
    Node* write = edit_.Add("write_weight", "AssignSubVariableOp", {weight_, scaled},
                            {Attr("dtype", DT_FLOAT)}, {weight});
    Node* zeros = edit_.Add("zeros", "ZerosLike", {rows});
    Node* of_rows = edit_.Add("of_rows", "Add", {zeros, weight});
    Node* update = edit_.Add("update_rows", "StatefulPartitionedCall",
                             {GraphEdit::Outs{{Gradient("gradient_rows", ids, 1), 0},
                                              {Gradient("gradient_values", of_rows, 1), 0},
                                              {edit_.Scalar("rate_of_rows", 0.5F), 0},
                                              {table_, 0}}},
                             {Attr("Tout", std::vector<tensorflow::DataType>()),
                              Attr("f", CallOf("update")), Attr(kSparseUpdateAttr, "table")},
                             {rows});
    Node* count =
        edit_.Add("count", "AssignAddVariableOp", {step_, edit_.Scalar("one", std::int64_t{1})},
                  {Attr("dtype", DT_INT64)});
    edit_.Add("step_after", "ReadVariableOp", {step_}, {Attr("dtype", DT_INT64)}, {count});
    edit_.Add("loss", "Identity", {loss}, {}, {write, update, count});
  }

  static tensorflow::NameAttrList CallOf(const std::string& function) {
    tensorflow::NameAttrList call;
    call.set_name(function);
    return call;
  }

  Node* Gradient(const std::string& name, Node* of, int place) {
    return edit_.Add(name, "Identity", {of}, {Attr(kGradientAttr, place)});
  }

  Graph graph_;
  GraphEdit edit_;
  Node *table_ = nullptr, *weight_ = nullptr, *step_ = nullptr;
};

Tensor TensorOf(const std::vector<std::int64_t>& values) {
  Tensor tensor(DT_INT64, {static_cast<std::int64_t>(values.size())});
  std::copy(values.begin(), values.end(), tensor.flat<std::int64_t>().data());
  return tensor;
}

// A trainer's session, and what only its servers have.
class Worker {
 public:
  Worker(const std::vector<std::string>& servers, Writer writer)
      : cluster_(JoinCluster(servers, writer.number)) {
    EXPECT_TRUE(ModelServers::Open(*cluster_, writer.number, &servers_).ok());
    const tensorflow::MetaGraphDef exported;
    SharedGraph shared;
    TF_CHECK_OK(LoadGraph(Model().Runtime(), exported, static_cast<int>(servers.size()), &shared));
    TF_CHECK_OK(Distribute(RootsOf(exported, shared.runtime), writer, /*saves=*/true, &shared));
    shared.graph.ToGraphDef(&graph_);
    TF_CHECK_OK(cluster_->NewSession({}, &session_));
    TF_CHECK_OK(session_->Create(graph_));
  }

  absl::Status Train(const std::vector<std::int64_t>& ids, float* loss, std::int64_t* step) {
    std::vector<Tensor> results;
    TF_RETURN_IF_ERROR(
        session_->Run({{"ids", TensorOf(ids)}}, {"loss:0", "step_after:0"}, {}, &results));
    *loss = results[0].scalar<float>()();
    *step = results[1].scalar<std::int64_t>()();
    return absl::OkStatus();
  }
  std::vector<float> Rows(const std::vector<std::int64_t>& ids) {
    std::vector<Tensor> results;
    TF_CHECK_OK(session_->Run({{"ids", TensorOf(ids)}}, {"rows:0"}, {}, &results));
    EXPECT_EQ(results[0].shape(), TensorShape({static_cast<std::int64_t>(ids.size()), kWidth}));
    const auto flat = results[0].flat<float>();
    return {flat.data(), flat.data() + flat.size()};
  }
  absl::Status Restore(const std::string& prefix) {
    return session_->Run({{kRestorePrefix, Tensor(tensorflow::tstring(prefix))}}, {}, {kRestore},
                         nullptr);
  }
  absl::Status Save(const std::string& prefix) {
    return session_->Run({{kSavePrefix, Tensor(tensorflow::tstring(prefix))}}, {}, {kSave},
                         nullptr);
  }
  void BringUp(const std::string& prefix, std::int64_t generation) {
    ASSERT_TRUE(servers_->Claim(generation).ok());
    TF_CHECK_OK(Restore(prefix));
    ASSERT_TRUE(servers_->Publish(generation).ok());
  }
  ModelServers& servers() { return *servers_; }
  const tensorflow::GraphDef& graph() const { return graph_; }

 private:
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<ModelServers> servers_;
  tensorflow::GraphDef graph_;
  std::unique_ptr<tensorflow::Session> session_;
};

class SharedGraphTest : public ::testing::Test {
 protected:
  SharedGraphTest() {
    std::string name = (std::filesystem::temp_directory_path() / "headrace-XXXXXX").string();
    folder_ = mkdtemp(name.data());
    WriteInitial();
  }
  ~SharedGraphTest() override { std::filesystem::remove_all(folder_); }

  // Row i is (i, -i); the weights are 1 and 2; the step is 0.
  void WriteInitial() {
    tensorflow::BundleWriter writer(tensorflow::Env::Default(), initial());
    Tensor table(DT_FLOAT, {kRows, kWidth}), weight(DT_FLOAT, {kWidth});
    for (std::int64_t i = 0; i < kRows; ++i) {
      table.matrix<float>()(i, 0) = static_cast<float>(i);
      table.matrix<float>()(i, 1) = static_cast<float>(-i);
    }
    weight.flat<float>()(0) = 1;
    weight.flat<float>()(1) = 2;
    TF_CHECK_OK(writer.Add("STEP", Tensor(std::int64_t{0})));
    TF_CHECK_OK(writer.Add("TABLE", table));
    TF_CHECK_OK(writer.Add("WEIGHT", weight));
    TF_CHECK_OK(writer.Finish());
  }
  std::string initial() const { return folder_ + "/initial"; }

  std::string folder_;
};

// On both servers' rows, in no order.
const std::vector<std::int64_t> kIds{15'000, 3, 9'999, 10'000, 19'999};

TEST_F(SharedGraphTest, TrainsAsOneProcessWould) {
  Worker worker(StartServers(2), {1, 5});
  worker.BringUp(initial(), 5);
  float loss = 0;
  std::int64_t step = 0;
  ASSERT_EQ(worker.Train(kIds, &loss, &step), absl::OkStatus());
  const float sum = 15'000 + 3 + 9'999 + 10'000 + 19'999;
  EXPECT_FLOAT_EQ(loss, sum * 1 - sum * 2);
  EXPECT_EQ(step, 1);
  // rows -= 0.5 * (1, 2)
  EXPECT_EQ(worker.Rows({3, 10'000, 4}), (std::vector<float>{2.5, -4, 9'999.5, -10'001, 4, -4}));
  ASSERT_EQ(worker.Train({3}, &loss, &step), absl::OkStatus());
  // weight -= 0.1 * (sum, -sum)
  EXPECT_FLOAT_EQ(loss, 2.5F * (1 - 0.1F * sum) - 4 * (2 + 0.1F * sum));
  EXPECT_EQ(step, 2);
  EXPECT_EQ(worker.Rows({}), std::vector<float>());
}

TEST_F(SharedGraphTest, EveryWorkerSeesOneModel) {
  const auto servers = StartServers(2);
  Worker one(servers, {1, 5}), other(servers, {2, 5});
  one.BringUp(initial(), 5);
  float loss = 0;
  std::int64_t step = 0;
  ASSERT_EQ(one.Train({3}, &loss, &step), absl::OkStatus());
  ASSERT_EQ(other.Train({3}, &loss, &step), absl::OkStatus());
  EXPECT_EQ(step, 2);
}

TEST_F(SharedGraphTest, AFencedWorkerWritesNothing) {
  const auto servers = StartServers(2);
  Worker late(servers, {7, 5}), other(servers, {8, 5});
  late.BringUp(initial(), 5);
  ASSERT_TRUE(other.servers().Fence({7}).ok());
  float loss = 0;
  std::int64_t step = 0;
  const absl::Status status = late.Train(kIds, &loss, &step);
  EXPECT_THAT(std::string(status.message()), HasSubstr(kFencedOff));
  EXPECT_EQ(other.Rows({3, 10'000}), (std::vector<float>{3, -3, 10'000, -10'000}));
  ASSERT_EQ(other.Train({5}, &loss, &step), absl::OkStatus());
  EXPECT_EQ(step, 1) << "not even the steps were counted";
  EXPECT_FLOAT_EQ(loss, 5 * 1 - 5 * 2) << "the weights are as they were";
}

TEST_F(SharedGraphTest, AWorkerOfAnOlderModelWritesNothing) {
  const auto servers = StartServers(1);
  Worker old(servers, {1, 5}), restorer(servers, {2, 6});
  old.BringUp(initial(), 5);
  restorer.BringUp(initial(), 6);
  float loss = 0;
  std::int64_t step = 0;
  EXPECT_THAT(std::string(old.Train(kIds, &loss, &step).message()), HasSubstr(kFencedOff));
  ASSERT_EQ(restorer.Train(kIds, &loss, &step), absl::OkStatus());
  EXPECT_EQ(step, 1);
}

TEST_F(SharedGraphTest, ALateRestorerWritesNothing) {
  const auto servers = StartServers(2);
  Worker late(servers, {1, 5}), restorer(servers, {2, 6});
  ASSERT_TRUE(late.servers().Claim(5).ok());
  restorer.BringUp(initial(), 6);
  EXPECT_THAT(std::string(late.Restore(initial()).message()), HasSubstr(kNotClaimed));
}

TEST_F(SharedGraphTest, ACheckpointFitsAnyNumberOfServers) {
  Worker two(StartServers(2), {1, 5});
  two.BringUp(initial(), 5);
  float loss = 0;
  std::int64_t step = 0;
  ASSERT_EQ(two.Train(kIds, &loss, &step), absl::OkStatus());
  ASSERT_EQ(two.Save(folder_ + "/saved"), absl::OkStatus());
  for (const int count : {1, 3}) {
    Worker other(StartServers(count), {1, 9});
    other.BringUp(folder_ + "/saved", 9);
    EXPECT_EQ(other.Rows(kIds), two.Rows(kIds)) << count << " servers";
  }
  // And whole for whoever reads it without servers.
  tensorflow::BundleReader reader(tensorflow::Env::Default(), folder_ + "/saved");
  Tensor table(DT_FLOAT, {kRows, kWidth});
  ASSERT_EQ(reader.Lookup("TABLE", &table), absl::OkStatus());
  EXPECT_EQ(table.matrix<float>()(10'000, 0), 9'999.5F);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/saved_part"));
}

TEST_F(SharedGraphTest, ARowThatIsNotThereIsAnError) {
  Worker worker(StartServers(2), {1, 5});
  worker.BringUp(initial(), 5);
  float loss = 0;
  std::int64_t step = 0;
  for (const std::int64_t row : {kRows, std::int64_t{-1}}) {
    EXPECT_FALSE(worker.Train({row}, &loss, &step).ok()) << row;
  }
  ASSERT_EQ(worker.Train({3}, &loss, &step), absl::OkStatus());
  EXPECT_FLOAT_EQ(loss, 3 - 6) << "nothing was written";
}

// What runs where: rows and their updates on both servers, the weight's update on its own, nothing
// else of the model on servers.
TEST_F(SharedGraphTest, UpdatesRunWhereTheVariablesAre) {
  Worker worker(StartServers(2), {1, 5});
  std::map<std::string, std::string> device;
  std::vector<std::string> scatters;
  for (const auto& node : worker.graph().node()) {
    device[node.name()] = node.device();
    if (node.op() == "ResourceScatterSub") scatters.push_back(node.device());
  }
  const std::string one = Cluster::ServerDevice(0), two = Cluster::ServerDevice(1);
  EXPECT_THAT(scatters, UnorderedElementsAre(one, two));
  EXPECT_THAT(device["scaled"], ::testing::AnyOf(one, two));
  EXPECT_EQ(device["scaled"], device["write_weight"]);
  EXPECT_EQ(device["gradient_of_weight"], device["write_weight"]);
  EXPECT_EQ(device["count"], one);
  for (const char* node : {"sum", "product", "of_rows", "loss"}) {
    EXPECT_THAT(device[node], HasSubstr("job:worker")) << node;
  }
}

}  // namespace
}  // namespace headrace::trainer
