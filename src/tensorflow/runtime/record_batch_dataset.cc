// Headrace>RecordBatchDataset: batches of records, made where they are read.
#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/dataset.h"
#include "tensorflow/core/framework/partial_tensor_shape.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/runtime/record_ranges_dataset.h"

namespace headrace {
namespace {

using ::tensorflow::DataTypeVector;
using ::tensorflow::PartialTensorShape;
using ::tensorflow::Tensor;
using ::tensorflow::tstring;
using ::tensorflow::data::DatasetBase;
using ::tensorflow::data::DatasetContext;
using ::tensorflow::data::DatasetIterator;
using ::tensorflow::data::IteratorBase;
using ::tensorflow::data::IteratorContext;
using ::tensorflow::data::UnaryDatasetOpKernel;

class Dataset : public DatasetBase {
 public:
  Dataset(DatasetContext&& ctx, const DatasetBase* input, std::int64_t batch_size,
          bool drop_remainder)
      : DatasetBase(std::move(ctx)),
        input_(input),
        batch_size_(batch_size),
        drop_remainder_(drop_remainder),
        shapes_(2, PartialTensorShape({drop_remainder ? batch_size : -1})) {
    input_->Ref();
  }
  ~Dataset() override { input_->Unref(); }

  std::unique_ptr<IteratorBase> MakeIteratorInternal(const std::string& prefix) const override {
    return std::make_unique<Iterator>(
        Iterator::Params{this, absl::StrCat(prefix, "::RecordBatch")});
  }
  const DataTypeVector& output_dtypes() const override {
    static const auto* const types =
        new DataTypeVector{tensorflow::DT_INT64, tensorflow::DT_STRING};
    return *types;
  }
  const std::vector<PartialTensorShape>& output_shapes() const override { return shapes_; }
  std::string DebugString() const override { return "RecordBatchDataset"; }
  std::int64_t CardinalityInternal(tensorflow::data::CardinalityOptions) const override {
    return tensorflow::data::kUnknownCardinality;
  }
  absl::Status InputDatasets(std::vector<const DatasetBase*>* inputs) const override {
    inputs->push_back(input_);
    return absl::OkStatus();
  }
  absl::Status CheckExternalState() const override { return input_->CheckExternalState(); }

 protected:
  absl::Status AsGraphDefInternal(tensorflow::data::SerializationContext* ctx,
                                  DatasetGraphDefBuilder* builder,
                                  tensorflow::Node** output) const override {
    tensorflow::Node *input = nullptr, *batch_size = nullptr, *drop_remainder = nullptr;
    TF_RETURN_IF_ERROR(builder->AddInputDataset(ctx, input_, &input));
    TF_RETURN_IF_ERROR(builder->AddScalar(batch_size_, &batch_size));
    TF_RETURN_IF_ERROR(builder->AddScalar(drop_remainder_, &drop_remainder));
    return builder->AddDataset(this, {input, batch_size, drop_remainder}, output);
  }

 private:
  class Iterator : public DatasetIterator<Dataset> {
   public:
    explicit Iterator(const Params& params) : DatasetIterator<Dataset>(params) {}

    absl::Status Initialize(IteratorContext* ctx) override {
      TF_RETURN_IF_ERROR(dataset()->input_->MakeIterator(ctx, this, prefix(), &input_));
      reader_ = dynamic_cast<BatchReader*>(input_.get());
      return absl::OkStatus();
    }

    absl::Status GetNextInternal(IteratorContext* ctx, std::vector<Tensor>* out,
                                 bool* end_of_sequence) override {
      std::lock_guard<std::mutex> lock(mu_);
      const std::int64_t size = dataset()->batch_size_;
      Tensor identities(ctx->allocator({}), tensorflow::DT_INT64, {size});
      Tensor records(ctx->allocator({}), tensorflow::DT_STRING, {size});
      std::int64_t count = 0;
      if (!ended_) {
        TF_RETURN_IF_ERROR(Read(ctx, identities.flat<std::int64_t>().data(),
                                records.flat<tstring>().data(), &count));
        ended_ = count < size;
      }
      *end_of_sequence = count == 0 || (count < size && dataset()->drop_remainder_);
      if (*end_of_sequence) return absl::OkStatus();
      if (count < size) Shrink(ctx, count, &identities, &records);
      out->push_back(std::move(identities));
      out->push_back(std::move(records));
      return absl::OkStatus();
    }

   protected:
    std::shared_ptr<tensorflow::data::model::Node> CreateNode(
        IteratorContext*, tensorflow::data::model::Node::Args args) const override {
      return tensorflow::data::model::MakeKnownRatioNode(
          std::move(args), static_cast<double>(dataset()->batch_size_));
    }
    absl::Status SaveInternal(tensorflow::data::SerializationContext*,
                              tensorflow::data::IteratorStateWriter*) override {
      return absl::UnimplementedError("batches of records cannot be saved");
    }
    absl::Status RestoreInternal(IteratorContext*,
                                 tensorflow::data::IteratorStateReader*) override {
      return absl::UnimplementedError("batches of records cannot be restored");
    }

   private:
    absl::Status Read(IteratorContext* ctx, std::int64_t* identities, tstring* records,
                      std::int64_t* count) {
      const std::int64_t size = dataset()->batch_size_;
      if (reader_ != nullptr) return reader_->ReadBatch(size, identities, records, count);
      for (*count = 0; *count < size; ++*count) {
        std::vector<Tensor> element;
        bool end = false;
        TF_RETURN_IF_ERROR(input_->GetNext(ctx, &element, &end));
        if (end) break;
        identities[*count] = element[0].scalar<std::int64_t>()();
        records[*count] = std::move(element[1].scalar<tstring>()());
      }
      return absl::OkStatus();
    }

    // The last batch.
    static void Shrink(IteratorContext* ctx, std::int64_t count, Tensor* identities,
                       Tensor* records) {
      Tensor fewer_identities(ctx->allocator({}), tensorflow::DT_INT64, {count});
      Tensor fewer_records(ctx->allocator({}), tensorflow::DT_STRING, {count});
      const auto from = identities->flat<std::int64_t>();
      std::copy(from.data(), from.data() + count, fewer_identities.flat<std::int64_t>().data());
      tstring* const strings = records->flat<tstring>().data();
      std::move(strings, strings + count, fewer_records.flat<tstring>().data());
      *identities = std::move(fewer_identities);
      *records = std::move(fewer_records);
    }

    std::mutex mu_;  // one batch at a time
    std::unique_ptr<IteratorBase> input_;
    BatchReader* reader_ = nullptr;  // input_, if it can give whole batches
    bool ended_ = false;
  };

  const DatasetBase* const input_;
  const std::int64_t batch_size_;
  const bool drop_remainder_;
  const std::vector<PartialTensorShape> shapes_;
};

class RecordBatchDatasetOp : public UnaryDatasetOpKernel {
 public:
  using UnaryDatasetOpKernel::UnaryDatasetOpKernel;

 protected:
  void MakeDataset(tensorflow::OpKernelContext* ctx, DatasetBase* input,
                   DatasetBase** output) override {
    std::int64_t batch_size = 0;
    OP_REQUIRES_OK(ctx, tensorflow::data::ParseScalarArgument(ctx, "batch_size", &batch_size));
    OP_REQUIRES(ctx, batch_size > 0,
                absl::InvalidArgumentError(
                    absl::StrCat("batch_size is ", batch_size, ", and must be at least 1")));
    bool drop_remainder = false;
    OP_REQUIRES_OK(ctx,
                   tensorflow::data::ParseScalarArgument(ctx, "drop_remainder", &drop_remainder));
    const DataTypeVector& types = input->output_dtypes();
    OP_REQUIRES(
        ctx,
        types.size() == 2 && types[0] == tensorflow::DT_INT64 && types[1] == tensorflow::DT_STRING,
        absl::InvalidArgumentError("batches of records are made of (int64, string)"));
    *output = new Dataset(DatasetContext(ctx), input, batch_size, drop_remainder);
  }
};

REGISTER_KERNEL_BUILDER(Name("Headrace>RecordBatchDataset").Device(tensorflow::DEVICE_CPU),
                        RecordBatchDatasetOp);

}  // namespace
}  // namespace headrace
