#include "trainer/shared/model_servers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "trainer/shared/testing.h"

namespace headrace::trainer {
namespace {

using ::testing::HasSubstr;

class ModelServersTest : public ::testing::Test {
 protected:
  ModelServersTest() : addresses_(StartServers(2)) {}

  // As another process has it.
  std::unique_ptr<ModelServers> Open() {
    clusters_.push_back(JoinCluster(addresses_, clusters_.size() + 1));
    std::unique_ptr<ModelServers> servers;
    EXPECT_TRUE(ModelServers::Open(*clusters_.back(), clusters_.size(), &servers).ok());
    return servers;
  }
  static std::int64_t GenerationOf(ModelServers* servers) {
    std::int64_t generation = -1;
    const Status status = servers->Generation(&generation);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return generation;
  }

  const std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Cluster>> clusters_;
};

TEST_F(ModelServersTest, AModelIsThereOnceItIsPublished) {
  const auto one = Open(), other = Open();
  EXPECT_EQ(GenerationOf(one.get()), 0);
  ASSERT_TRUE(one->Claim(3).ok());
  EXPECT_EQ(GenerationOf(other.get()), 0);
  ASSERT_TRUE(one->Publish(3).ok());
  EXPECT_EQ(GenerationOf(other.get()), 3);
}

TEST_F(ModelServersTest, AClaimTakesTheModelAway) {
  const auto one = Open();
  ASSERT_TRUE(one->Claim(3).ok());
  ASSERT_TRUE(one->Publish(3).ok());
  ASSERT_TRUE(one->Claim(4).ok());
  EXPECT_EQ(GenerationOf(one.get()), 0);
}

TEST_F(ModelServersTest, AnOldClaimIsRefused) {
  const auto one = Open(), other = Open();
  ASSERT_TRUE(one->Claim(4).ok());
  const Status late = other->Claim(3);
  EXPECT_EQ(late.code(), Code::kAborted);
  EXPECT_THAT(late.message(), HasSubstr("somebody else restores the model: claim 4, this is 3"));
}

TEST_F(ModelServersTest, ServersThatDoNotAgreeHaveNoModel) {
  const auto one = Open();
  ASSERT_TRUE(one->Claim(3).ok());
  ASSERT_TRUE(one->Publish(3).ok());
  // One of them died and came back.
  auto changed = addresses_;
  changed[1] = StartServers(1)[0];
  const auto cluster = JoinCluster(changed, 9);
  std::unique_ptr<ModelServers> servers;
  ASSERT_TRUE(ModelServers::Open(*cluster, 9, &servers).ok());
  EXPECT_EQ(GenerationOf(servers.get()), 0);
}

TEST(ClusterTest, NamesTheServerThatDoesNotAnswer) {
  std::unique_ptr<Cluster> cluster;
  const Status status = Cluster::Join({"127.0.0.1:1"}, 1, std::chrono::milliseconds(200), &cluster);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(),
              HasSubstr("parameter server: nobody can be reached at 127.0.0.1:1"));
}

TEST(ClusterTest, RefusesWhatIsNoAddress) {
  std::unique_ptr<Cluster> cluster;
  const Status status = Cluster::Join({"here"}, 1, std::chrono::milliseconds(200), &cluster);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
}

TEST(ClusterTest, SaysThatAPortIsInUse) {
  const std::string address = StartServers(1)[0];
  const int port = std::stoi(address.substr(address.rfind(':') + 1));
  std::string other;
  const Status status = StartServer("127.0.0.1", port, &other);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr("port " + std::to_string(port)));
}

}  // namespace
}  // namespace headrace::trainer
