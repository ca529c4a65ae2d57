// Headrace>RecordRangesDataset: one dataset over all record ranges that this process is given.
#include "tensorflow/runtime/record_ranges_dataset.h"

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/framework/dataset.h"
#include "tensorflow/core/framework/partial_tensor_shape.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/record_stream.h"

namespace headrace {
namespace {

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

class Dataset : public DatasetBase {
 public:
  Dataset(DatasetContext&& ctx, std::string queue, std::string account)
      : DatasetBase(std::move(ctx)), queue_(std::move(queue)), account_(std::move(account)) {}

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
    tensorflow::AttrValue queue, account;
    builder->BuildAttrValue(queue_, &queue);
    builder->BuildAttrValue(account_, &account);
    return builder->AddDataset(this, {}, {{"queue", queue}, {"account", account}}, output);
  }

 private:
  class Iterator : public DatasetIterator<Dataset>, public BatchReader {
   public:
    explicit Iterator(const Params& params) : DatasetIterator<Dataset>(params) {}

    ~Iterator() override {
      if (manager_ != nullptr) manager_->DeregisterCallback(token_);
    }

    absl::Status Initialize(IteratorContext* ctx) override {
      TF_RETURN_IF_ERROR(
          ToAbsl(RecordStream::Open(dataset()->queue_, dataset()->account_, &stream_)));
      manager_ = ctx->cancellation_manager();
      if (manager_ == nullptr) return absl::OkStatus();
      token_ = manager_->get_cancellation_token();
      if (manager_->RegisterCallback(token_, [this] { stream_->Cancel(); })) {
        return absl::OkStatus();
      }
      manager_ = nullptr;
      return absl::CancelledError("cancelled before the first record was read");
    }

    absl::Status GetNextInternal(IteratorContext* ctx, std::vector<Tensor>* out,
                                 bool* end_of_sequence) override {
      std::lock_guard<std::mutex> lock(mu_);
      std::string_view record;
      std::int64_t identity = 0;
      TF_RETURN_IF_ERROR(ToAbsl(stream_->Next(&record, &identity, end_of_sequence)));
      if (*end_of_sequence) return absl::OkStatus();
      out->emplace_back(identity);
      out->emplace_back(ctx->allocator({}), tensorflow::DT_STRING, tensorflow::TensorShape({}));
      out->back().scalar<tensorflow::tstring>()().assign(record.data(), record.size());
      return absl::OkStatus();
    }

    absl::Status ReadBatch(std::int64_t limit, std::int64_t* identities,
                           tensorflow::tstring* records, std::int64_t* count) override {
      std::lock_guard<std::mutex> lock(mu_);
      for (*count = 0; *count < limit; ++*count) {
        std::string_view record;
        bool end = false;
        TF_RETURN_IF_ERROR(ToAbsl(stream_->Next(&record, identities + *count, &end)));
        if (end) break;
        records[*count].assign(record.data(), record.size());
      }
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
    CancellationManager* manager_ = nullptr;
    tensorflow::CancellationToken token_ = 0;
    std::mutex mu_;  // one read at a time
    std::unique_ptr<RecordStream> stream_;
  };

  const std::string queue_, account_;
};

class RecordRangesDatasetOp : public DatasetOpKernel {
 public:
  explicit RecordRangesDatasetOp(tensorflow::OpKernelConstruction* ctx) : DatasetOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("queue", &queue_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("account", &account_));
  }

 protected:
  void MakeDataset(tensorflow::OpKernelContext* ctx, DatasetBase** output) override {
    *output = new Dataset(DatasetContext(ctx), queue_, account_);
  }

 private:
  std::string queue_, account_;  // constant after construction
};

REGISTER_KERNEL_BUILDER(Name("Headrace>RecordRangesDataset").Device(tensorflow::DEVICE_CPU),
                        RecordRangesDatasetOp);

}  // namespace
}  // namespace headrace
