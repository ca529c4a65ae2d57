#include "tensorflow/dump_graph.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/platform/env.h"

namespace headrace {

std::string DumpPath(const std::string& path, const std::string& function) {
  if (function.empty()) return path;
  const std::size_t slash = path.rfind('/');
  const std::size_t dot = path.rfind('.');
  const bool extension = dot != std::string::npos && (slash == std::string::npos || dot > slash);
  const std::size_t end = extension ? dot : path.size();
  return absl::StrCat(path.substr(0, end), ".", function, path.substr(end));
}

absl::Status DumpGraph(const tensorflow::Graph& graph,
                       const tensorflow::FunctionLibraryDefinition& library,
                       const std::string& path, const std::string& function) {
  tensorflow::GraphDef def;
  graph.ToGraphDef(&def);
  *def.mutable_library() = library.ToProto();
  const std::string file = DumpPath(path, function);
  tensorflow::Env* env = tensorflow::Env::Default();
  if (absl::EndsWith(path, ".pbtxt")) return tensorflow::WriteTextProto(env, file, def);
  return tensorflow::WriteBinaryProto(env, file, def);
}

}  // namespace headrace
