// Names of the attributes that Headrace leaves on nodes and functions; docs/formats.md has the
// table.
#ifndef HEADRACE_TENSORFLOW_ATTRIBUTES_H_
#define HEADRACE_TENSORFLOW_ATTRIBUTES_H_

namespace headrace {

// On nodes of user graphs.
inline constexpr char kStagedAttr[] = "_headrace_staged";    // int: group of a tf.staged mark
inline constexpr char kOptionsAttr[] = "_headrace_options";  // string: options of that call
inline constexpr char kTargetAttr[] = "_headrace_target";    // bool: it and all below it stay out
inline constexpr char kKeepAttr[] = "_headrace_keep";        // bool: keeps its name

// On the functions that the pass makes: they are never planned inside.
inline constexpr char kStageFunctionAttr[] = "_headrace_stage_function";

// On calls and their StageStart once the graph was placed, and only where accelerators take what
// crosses: list(int), as `outputs`, and list(string), to which device's memory the stage copies it.
inline constexpr char kCopyOutputsAttr[] = "_headrace_copy_outputs";
inline constexpr char kCopyDevicesAttr[] = "_headrace_copy_devices";

// On calls and starts, where the stage has a GPU stream of its own: string, the logical device that
// the body's ops are placed on as far as they can run there.
inline constexpr char kStageDeviceAttr[] = "_headrace_stage_device";

inline constexpr char kStagedCallOp[] = "Headrace>StagedCall";
inline constexpr char kStageStartOp[] = "Headrace>StageStart";
inline constexpr char kStagedOutputsOp[] = "Headrace>StagedOutputs";
inline constexpr char kStagedDeviceOutputsOp[] = "Headrace>StagedDeviceOutputs";
inline constexpr char kStagedOpsRanOp[] = "Headrace>StagedOpsRan";
inline constexpr char kResetSourceOp[] = "Headrace>ResetSource";
inline constexpr char kIteratorPullOp[] = "Headrace>IteratorPull";
// Only while a graph is planned: in the copy, never in what runs.
inline constexpr char kPrivateStateOp[] = "Headrace>PrivateState";

// A target that starts all stages of a session graph before the first step takes from them.
inline constexpr char kStartNode[] = "headrace/start";

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_ATTRIBUTES_H_
