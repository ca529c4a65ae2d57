#include "tensorflow/op_traits.h"

#include <array>
#include <unordered_map>
#include <unordered_set>

namespace headrace {
namespace {

using Table = std::unordered_map<std::string_view, OpGroup>;

void Add(Table* table, OpGroup group, std::initializer_list<std::string_view> ops) {
  for (const std::string_view op : ops) table->emplace(op, group);
}

// Reading one element ahead changes only when it is read: the stage hands elements on in order.
void AddSources(Table* t) {
  Add(t, OpGroup::kIteratorNext, {"IteratorGetNext", "IteratorGetNextSync"});
  Add(t, OpGroup::kIteratorNextOptional, {"IteratorGetNextAsOptional"});
  Add(t, OpGroup::kResourceRead,
      {"MultiDeviceIteratorGetNextFromShard", "QueueDequeue", "QueueDequeueV2", "QueueDequeueMany",
       "QueueDequeueManyV2", "QueueDequeueUpTo", "QueueDequeueUpToV2", "ReaderRead", "ReaderReadV2",
       "ReaderReadUpTo", "ReaderReadUpToV2"});
}

// Looking a resource up or creating it has no other effect, and is done once per kernel.
void AddHandles(Table* t) {
  Add(t, OpGroup::kIteratorHandle,
      {"Iterator", "IteratorV2", "OneShotIterator", "AnonymousIterator", "AnonymousIteratorV2",
       "AnonymousIteratorV3", "MultiDeviceIterator", "AnonymousMultiDeviceIterator",
       "AnonymousMultiDeviceIteratorV3"});
  Add(t, OpGroup::kIteratorFromString,
      {"IteratorFromStringHandle", "IteratorFromStringHandleV2",
       "MultiDeviceIteratorFromStringHandle"});
  Add(t, OpGroup::kQueueHandle,
      {"FIFOQueue", "FIFOQueueV2", "PaddingFIFOQueue", "PaddingFIFOQueueV2", "RandomShuffleQueue",
       "RandomShuffleQueueV2"});
  // The next element is the smallest of those present: asking earlier gives another one.
  Add(t, OpGroup::kOrderedQueueHandle, {"PriorityQueue", "PriorityQueueV2"});
  Add(t, OpGroup::kReaderHandle,
      {"TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2",
       "FixedLengthRecordReader", "FixedLengthRecordReaderV2", "WholeFileReader",
       "WholeFileReaderV2", "IdentityReader", "IdentityReaderV2", "LMDBReader"});
  Add(t, OpGroup::kImmutableTableHandle, {"HashTable", "HashTableV2", "AnonymousHashTable"});
  Add(t, OpGroup::kMutableTableHandle,
      {"MutableHashTable", "MutableHashTableV2", "MutableHashTableOfTensors",
       "MutableHashTableOfTensorsV2", "MutableDenseHashTable", "MutableDenseHashTableV2",
       "AnonymousMutableHashTable", "AnonymousMutableHashTableOfTensors",
       "AnonymousMutableDenseHashTable"});
  Add(t, OpGroup::kVariableHandle, {"VarHandleOp"});
  Add(t, OpGroup::kOtherHandle,
      {"ResourceConditionalAccumulator", "SummaryWriter", "MutexV2", "AnonymousMemoryCache",
       "DummyMemoryCache", "AnonymousRandomSeedGenerator", "AnonymousSeedGenerator",
       "DummySeedGenerator", "DummyIterationCounter", "StatsAggregatorHandle",
       "StatsAggregatorHandleV2", "ThreadPoolHandle", "BoostedTreesEnsembleResourceHandleOp",
       "BoostedTreesQuantileStreamResourceHandleOp"});
}

void AddState(Table* t) {
  Add(t, OpGroup::kVariableRead,
      {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape",
       "VarIsInitializedOp"});
  // Optimizer and scatter ops of resource variables are found by prefix; see LookUpOp().
  Add(t, OpGroup::kVariableWrite,
      {"Assign", "AssignAdd", "AssignSub", "AssignVariableOp", "AssignAddVariableOp",
       "AssignSubVariableOp", "ResourceCountUpTo", "CountUpTo", "DestroyResourceOp",
       "ResourceStridedSliceAssign", "StridedSliceAssign", "ResourceAccumulatorApplyGradient",
       "AssignVariableXlaConcatND", "DestroyTemporaryVariable",
       // Generators of tf.random.Generator keep their state in a variable.
       "StatefulUniform", "StatefulUniformInt", "StatefulUniformFullInt", "StatefulStandardNormal",
       "StatefulStandardNormalV2", "StatefulTruncatedNormal", "StatefulRandomBinomial", "RngSkip",
       "RngReadAndSkip"});
  Add(t, OpGroup::kTableRead, {"LookupTableFindV2", "LookupTableSizeV2", "LookupTableExportV2"});
  Add(t, OpGroup::kTableFill,
      {"InitializeTableV2", "InitializeTableFromTextFileV2", "InitializeTableFromDataset"});
  Add(t, OpGroup::kTableWrite,
      {"LookupTableInsertV2", "LookupTableImportV2", "LookupTableRemoveV2"});
  Add(t, OpGroup::kMakeIterator, {"MakeIterator"});
  Add(t, OpGroup::kSaveIterator, {"SerializeIterator", "DeserializeIterator"});
  Add(t, OpGroup::kQueueWrite,
      {"QueueEnqueue", "QueueEnqueueV2", "QueueEnqueueMany", "QueueEnqueueManyV2"});
  Add(t, OpGroup::kQueueControl,
      {"QueueClose", "QueueCloseV2", "QueueSize", "QueueSizeV2", "QueueIsClosed", "QueueIsClosedV2",
       "ReaderReset", "ReaderResetV2", "ReaderNumRecordsProduced", "ReaderNumRecordsProducedV2",
       "ReaderNumWorkUnitsCompleted", "ReaderNumWorkUnitsCompletedV2", "ReaderSerializeState",
       "ReaderSerializeStateV2", "ReaderRestoreState", "ReaderRestoreStateV2"});
}

void AddValues(Table* t) {
  Add(t, OpGroup::kConstant, {"Const", "HostConst"});
  // Each kernel owns its generator, so that its n-th value depends on n alone. Random ops whose
  // inputs vary (RandomShuffle, the candidate samplers) are left out.
  Add(t, OpGroup::kDraw,
      {"RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal",
       "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoisson", "RandomPoissonV2",
       "Multinomial"});
  Add(t, OpGroup::kDraw, {"Headrace>PrivateState"});
  Add(t, OpGroup::kAssert, {"Assert"});
  Add(t, OpGroup::kPure,
      {"CheckNumerics", "CheckNumericsV2", "GuaranteeConst", "DeepCopy", "StatelessRandomGetAlg",
       "NoOp"});
  Add(t, OpGroup::kPlaceholder, {"Placeholder", "PlaceholderV2", "PlaceholderWithDefault"});
  Add(t, OpGroup::kArgument, {"_Arg", "_DeviceArg", "_Retval", "_DeviceRetval"});
}

void AddControl(Table* t) {
  Add(t, OpGroup::kControlFlow,
      {"Switch", "_SwitchN", "Merge", "_XlaMerge", "Enter", "Exit", "NextIteration", "LoopCond",
       "ControlTrigger", "RefSwitch", "RefSelect", "RefMerge", "RefEnter", "RefExit",
       "RefNextIteration", "RefIdentity"});
  Add(t, OpGroup::kConditional, {"If", "StatelessIf", "_If", "Case", "StatelessCase"});
  Add(t, OpGroup::kLoop, {"While", "StatelessWhile", "_While", "For", "MapDefun"});
  Add(t, OpGroup::kCall, {"PartitionedCall", "StatefulPartitionedCall", "SymbolicGradient"});
}

// Effects outside the graph. Several of these are stateless by TensorFlow's flags.
void AddEffects(Table* t) {
  Add(t, OpGroup::kSummary,
      {"ScalarSummary",
       "HistogramSummary",
       "ImageSummary",
       "AudioSummary",
       "AudioSummaryV2",
       "TensorSummary",
       "TensorSummaryV2",
       "MergeSummary",
       "StatsAggregatorSummary",
       "WriteSummary",
       "WriteScalarSummary",
       "WriteHistogramSummary",
       "WriteImageSummary",
       "WriteAudioSummary",
       "WriteGraphSummary",
       "WriteRawProtoSummary",
       "ImportEvent",
       "FlushSummaryWriter",
       "CloseSummaryWriter",
       "CreateSummaryFileWriter",
       "CreateSummaryDbWriter"});
  Add(t, OpGroup::kPrint, {"Print", "PrintV2"});
  Add(t, OpGroup::kPyFunc, {"PyFunc", "EagerPyFunc", "PyFuncStateless"});
  Add(t, OpGroup::kFileRead,
      {"ReadFile", "MatchingFiles", "Restore", "RestoreSlice", "RestoreV2", "LoadAndRemapMatrix",
       "ImmutableConst"});
  Add(t, OpGroup::kFileWrite, {"WriteFile", "Save", "SaveSlices", "SaveV2", "MergeV2Checkpoints"});
}

const Table& Ops() {
  static const Table* const table = [] {
    auto* t = new Table;
    AddSources(t);
    AddHandles(t);
    AddState(t);
    AddValues(t);
    AddControl(t);
    AddEffects(t);
    return t;
  }();
  return *table;
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Costs are rough on purpose: they decide between a copy and a crossing, not between plans that are
// close. Measured orders of magnitude for batches of a few hundred.
const std::unordered_map<std::string_view, double>& Costs() {
  static const auto* const costs = new std::unordered_map<std::string_view, double>{
      {"NoOp", 0.2},
      {"DecodeCSV", 400},
      {"ParseExample", 400},
      {"ParseExampleV2", 400},
      {"ParseSingleExample", 20},
      {"ParseSequenceExample", 400},
      {"ParseSequenceExampleV2", 400},
      {"ParseSingleSequenceExample", 20},
      {"DecodeProtoV2", 200},
      {"DecodeJSONExample", 200},
      {"DecodeRaw", 20},
      {"DecodePaddedRaw", 20},
      {"DecodeCompressed", 100},
      {"DecodeBase64", 20},
      {"DecodeImage", 2000},
      {"DecodeJpeg", 2000},
      {"DecodeAndCropJpeg", 2000},
      {"DecodePng", 2000},
      {"DecodeGif", 2000},
      {"DecodeBmp", 500},
      {"DecodeWebP", 2000},
      {"DecodeWav", 500},
      {"ResizeBilinear", 500},
      {"ResizeBicubic", 1000},
      {"ResizeArea", 500},
      {"ResizeNearestNeighbor", 300},
      {"CropAndResize", 500},
      {"StringToHashBucket", 10},
      {"StringToHashBucketFast", 10},
      {"StringToHashBucketStrong", 20},
      {"StringToNumber", 20},
      {"StringSplit", 50},
      {"StringSplitV2", 50},
      {"StringLower", 20},
      {"StringUpper", 20},
      {"StringStrip", 20},
      {"StringJoin", 20},
      {"StringNGrams", 50},
      {"Substr", 20},
      {"RegexReplace", 100},
      {"StaticRegexReplace", 100},
      {"RegexFullMatch", 100},
      {"StaticRegexFullMatch", 100},
      {"UnicodeDecode", 100},
      {"UnicodeTranscode", 100},
      {"AsString", 50},
      {"SparseCross", 100},
      {"SparseCrossV2", 100},
      {"SparseCrossHashed", 100},
      {"RaggedCross", 100},
      {"LookupTableFindV2", 20},
      {"Unique", 20},
      {"UniqueV2", 20},
      {"UniqueWithCounts", 20},
      {"Bucketize", 10},
      {"Where", 5},
      {"GatherV2", 3},
      {"GatherNd", 3},
      {"ConcatV2", 3},
      {"MatMul", 50},
      {"BatchMatMulV2", 50},
      {"BatchMatMulV3", 50},
      {"Conv2D", 1000},
      {"Einsum", 50},
      {"If", 20},
      {"StatelessIf", 20},
      {"Case", 20},
      {"StatelessCase", 20},
      {"While", 100},
      {"StatelessWhile", 100},
      {"MapDefun", 100},
      {"PartitionedCall", 50},
      {"StatefulPartitionedCall", 50},
  };
  return *costs;
}

constexpr std::array<std::string_view, 16> kMetadataOps = {
    "Identity", "IdentityN",      "Reshape",          "ExpandDims",
    "Squeeze",  "Shape",          "ShapeN",           "Size",
    "Rank",     "StopGradient",   "PreventGradient",  "EnsureShape",
    "Bitcast",  "GuaranteeConst", "OptionalHasValue", "OptionalGetValue"};

const std::unordered_set<std::string_view>& MetadataOps() {
  static const auto* const ops =
      new std::unordered_set<std::string_view>(kMetadataOps.begin(), kMetadataOps.end());
  return *ops;
}

constexpr std::array<std::string_view, 24> kCheapOnSmall = {
    "Cast", "Pack",      "StridedSlice", "Slice",        "ConcatV2", "Add",     "AddV2", "Sub",
    "Mul",  "RealDiv",   "FloorDiv",     "FloorMod",     "Maximum",  "Minimum", "Equal", "NotEqual",
    "Less", "LessEqual", "Greater",      "GreaterEqual", "Prod",     "Range",   "Fill",  "Neg"};

const std::unordered_set<std::string_view>& CheapOnSmallOps() {
  static const auto* const ops =
      new std::unordered_set<std::string_view>(kCheapOnSmall.begin(), kCheapOnSmall.end());
  return *ops;
}

}  // namespace

OpGroup LookUpOp(std::string_view op) {
  const auto found = Ops().find(op);
  if (found != Ops().end()) return found->second;
  if (StartsWith(op, "ResourceApply") || StartsWith(op, "ResourceSparseApply") ||
      StartsWith(op, "ResourceScatter")) {
    return OpGroup::kVariableWrite;
  }
  if (Contains(op, "Dataset")) return OpGroup::kDataset;
  return OpGroup::kUnlisted;
}

double OpCost(std::string_view op) {
  const auto found = Costs().find(op);
  if (found != Costs().end()) return found->second;
  return IsMetadataOp(op) ? 0.5 : 1.0;
}

bool IsMetadataOp(std::string_view op) {
  return MetadataOps().count(op) > 0;
}

bool IsCheapOnSmall(std::string_view op) {
  return CheapOnSmallOps().count(op) > 0;
}

std::vector<std::string_view> ListedOps() {
  std::vector<std::string_view> names;
  for (const auto& [name, group] : Ops()) names.push_back(name);
  for (const auto& [name, cost] : Costs()) names.push_back(name);
  names.insert(names.end(), kMetadataOps.begin(), kMetadataOps.end());
  names.insert(names.end(), kCheapOnSmall.begin(), kCheapOnSmall.end());
  return names;
}

}  // namespace headrace
