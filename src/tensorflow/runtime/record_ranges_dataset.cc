// Headrace>RecordRangesDataset: one dataset over all record ranges that this process is given.
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "feed/account.h"
#include "feed/range_queue.h"
#include "record/record_file.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/framework/dataset.h"
#include "tensorflow/core/framework/partial_tensor_shape.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {
namespace {

using feed::Range;
using feed::RangeQueue;
using record::RangeReader;
using record::RecordFile;
using ::tensorflow::CancellationManager;
using ::tensorflow::DataTypeVector;
using ::tensorflow::PartialTensorShape;
using ::tensorflow::Tensor;
using ::tensorflow::data::DatasetBase;
using ::tensorflow::data::DatasetContext;
using ::tensorflow::data::DatasetIterator;
using ::tensorflow::data::DatasetOpKernel;
using ::tensorflow::data::IteratorBase;
using ::tensorflow::data::IteratorContext;

// Files stay open while their ranges come: tasks of one file are often leased one after the other.
//
// Thread safety: one thread at a time.
class OpenFiles {
 public:
  Status Find(const std::string& path, std::shared_ptr<RecordFile>* file) {
    for (auto it = files_.begin(); it != files_.end(); ++it) {
      if (it->first != path) continue;
      files_.splice(files_.begin(), files_, it);
      *file = files_.front().second;
      return Status();
    }
    std::unique_ptr<RecordFile> opened;
    Status status = RecordFile::Open(path, {}, &opened);
    if (!status.ok()) return status;
    files_.emplace_front(path, std::move(opened));
    if (files_.size() > kMostFiles) files_.pop_back();
    *file = files_.front().second;
    return Status();
  }

 private:
  static constexpr std::size_t kMostFiles = 16;
  std::list<std::pair<std::string, std::shared_ptr<RecordFile>>> files_;  // last used first
};

class Dataset : public DatasetBase {
 public:
  Dataset(DatasetContext&& ctx, std::string queue)
      : DatasetBase(std::move(ctx)), queue_(std::move(queue)) {}

  std::unique_ptr<IteratorBase> MakeIteratorInternal(const std::string& prefix) const override {
    return std::make_unique<Iterator>(
        Iterator::Params{this, absl::StrCat(prefix, "::RecordRanges")});
  }
  const DataTypeVector& output_dtypes() const override {
    static const auto* const types =
        new DataTypeVector{tensorflow::DT_INT64, tensorflow::DT_STRING};
    return *types;
  }
  const std::vector<PartialTensorShape>& output_shapes() const override {
    static const auto* const shapes =
        new std::vector<PartialTensorShape>(2, PartialTensorShape({}));
    return *shapes;
  }
  std::string DebugString() const override { return "RecordRangesDataset"; }
  std::int64_t CardinalityInternal(tensorflow::data::CardinalityOptions) const override {
    return tensorflow::data::kUnknownCardinality;
  }
  absl::Status InputDatasets(std::vector<const DatasetBase*>* inputs) const override {
    inputs->clear();
    return absl::OkStatus();
  }
  absl::Status CheckExternalState() const override { return absl::OkStatus(); }

 protected:
  absl::Status AsGraphDefInternal(tensorflow::data::SerializationContext*,
                                  DatasetGraphDefBuilder* builder,
                                  tensorflow::Node** output) const override {
    tensorflow::AttrValue queue;
    builder->BuildAttrValue(queue_, &queue);
    return builder->AddDataset(this, {}, {{"queue", queue}}, output);
  }

 private:
  class Iterator : public DatasetIterator<Dataset> {
   public:
    explicit Iterator(const Params& params) : DatasetIterator<Dataset>(params) {}

    ~Iterator() override {
      if (manager_ != nullptr) manager_->DeregisterCallback(token_);
    }

    absl::Status Initialize(IteratorContext* ctx) override {
      queue_ = feed::RangeQueues::Get().Find(dataset()->queue_);
      if (queue_ == nullptr) {
        return absl::FailedPreconditionError(absl::StrCat(
            "no queue of record ranges '", dataset()->queue_, "' is open in this process"));
      }
      manager_ = ctx->cancellation_manager();
      if (manager_ == nullptr) return absl::OkStatus();
      token_ = manager_->get_cancellation_token();
      if (manager_->RegisterCallback(token_,
                                     [this] { queue_->Wake([this] { cancelled_ = true; }); })) {
        return absl::OkStatus();
      }
      manager_ = nullptr;
      return absl::CancelledError("cancelled before the first record was read");
    }

    absl::Status GetNextInternal(IteratorContext* ctx, std::vector<Tensor>* out,
                                 bool* end_of_sequence) override {
      std::lock_guard<std::mutex> lock(mu_);
      *end_of_sequence = false;
      std::string_view record;
      while (reader_ == nullptr || !reader_->Next(&record)) {
        if (reader_ != nullptr) {
          const Status status = reader_->status();
          reader_.reset();  // whoever asks again gets the next range
          if (!status.ok()) return ToAbsl(status);
        }
        if (!ended_) TF_RETURN_IF_ERROR(NextRange());
        if (ended_) {
          *end_of_sequence = true;
          return absl::OkStatus();
        }
      }
      const auto index = static_cast<std::int64_t>(reader_->next_record()) - 1;
      out->emplace_back(tensorflow::DT_INT64, tensorflow::TensorShape({}));
      out->back().scalar<std::int64_t>()() = feed::Identity::Make(range_.file, index);
      out->emplace_back(ctx->allocator({}), tensorflow::DT_STRING, tensorflow::TensorShape({}));
      out->back().scalar<tensorflow::tstring>()().assign(record.data(), record.size());
      return absl::OkStatus();
    }

   protected:
    std::shared_ptr<tensorflow::data::model::Node> CreateNode(
        IteratorContext*, tensorflow::data::model::Node::Args args) const override {
      return tensorflow::data::model::MakeSourceNode(std::move(args));
    }
    absl::Status SaveInternal(tensorflow::data::SerializationContext*,
                              tensorflow::data::IteratorStateWriter*) override {
      return absl::UnimplementedError(
          "where a dataset of record ranges stands is the ledger's to know, not a checkpoint's");
    }
    absl::Status RestoreInternal(IteratorContext*,
                                 tensorflow::data::IteratorStateReader*) override {
      return absl::UnimplementedError("a dataset of record ranges cannot be restored");
    }

   private:
    absl::Status NextRange() {
      RangeQueue::Answer answer = RangeQueue::Answer::kDone;
      Status status = queue_->Next(&cancelled_, &answer, &range_);
      if (!status.ok()) return ToAbsl(status);
      // After FLUSH a new iterator asks again; this one stays at its end.
      if (answer != RangeQueue::Answer::kRange) {
        ended_ = true;
        return absl::OkStatus();
      }
      std::shared_ptr<RecordFile> file;
      status = files_.Find(range_.path, &file);
      if (status.ok()) {
        status = file->Read(static_cast<std::uint64_t>(range_.begin),
                            static_cast<std::uint64_t>(range_.end), &reader_);
      }
      return ToAbsl(status);
    }

    std::shared_ptr<RangeQueue> queue_;
    CancellationManager* manager_ = nullptr;
    tensorflow::CancellationToken token_ = 0;
    bool cancelled_ = false;  // guarded by the queue's lock

    std::mutex mu_;  // one read at a time; guards what follows
    OpenFiles files_;
    Range range_;
    std::unique_ptr<RangeReader> reader_;
    bool ended_ = false;
  };

  const std::string queue_;
};

class RecordRangesDatasetOp : public DatasetOpKernel {
 public:
  explicit RecordRangesDatasetOp(tensorflow::OpKernelConstruction* ctx) : DatasetOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("queue", &queue_));
  }

 protected:
  void MakeDataset(tensorflow::OpKernelContext* ctx, DatasetBase** output) override {
    *output = new Dataset(DatasetContext(ctx), queue_);
  }

 private:
  std::string queue_;  // constant after construction
};

REGISTER_KERNEL_BUILDER(Name("Headrace>RecordRangesDataset").Device(tensorflow::DEVICE_CPU),
                        RecordRangesDatasetOp);

}  // namespace
}  // namespace headrace
