#include "proto/version.h"

#include <map>

namespace headrace::v1 {
namespace {

constexpr char kProtocolKey[] = "headrace-protocol";
constexpr char kProgramKey[] = "headrace-program";
constexpr char kMaster[] = "headrace-master";

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// Empty: it is not said.
std::string Find(const Metadata& metadata, const char* key) {
  const auto it = metadata.find(key);
  return it == metadata.end() ? "" : std::string(it->second.data(), it->second.size());
}

std::string Release(const std::string& program) {
  return program + " " + HEADRACE_VERSION;
}

// Of the other side's word. `unnamed`: what it is called if it does not say.
Status Check(const Metadata& said, const std::string& unnamed, const std::string& program) {
  const std::string own = std::to_string(kControlProtocol);
  const std::string theirs = Find(said, kProtocolKey), who = Find(said, kProgramKey);
  if (theirs == own) return {};
  return {Code::kUnimplemented, (who.empty() ? unnamed : who) + " speaks " +
                                    (theirs.empty() ? "no named version" : "version " + theirs) +
                                    " of the control protocol, " + Release(program) +
                                    " speaks version " + own +
                                    ": install the same version of headrace on all machines"};
}

}  // namespace

void Introduce(const std::string& program, grpc::ClientContext* context, int protocol) {
  context->AddMetadata(kProtocolKey, std::to_string(protocol));
  context->AddMetadata(kProgramKey, Release(program));
}

Status CheckMaster(const std::string& program, const grpc::ClientContext& context) {
  return Check(context.GetServerInitialMetadata(), "the master", program);
}

Status CheckCaller(grpc::CallbackServerContext* context) {
  context->AddInitialMetadata(kProtocolKey, std::to_string(kControlProtocol));
  context->AddInitialMetadata(kProgramKey, Release(kMaster));
  return Check(context->client_metadata(), "the caller", kMaster);
}

}  // namespace headrace::v1
