"""What every dataset_fn of the zoo does with records that are lines."""

BUFFER = 10_000  # records that training is shuffled over, by default


def parsed(dataset, mode, metadata, parse):
    """Lines to (features, label); shuffled for training.

    parse: lines of any shape to (features, label).
    metadata: None or {"batch_size": n, "shuffle": n}, from --dataset_metadata. With batch_size whole batches
        are parsed at once, which takes a fraction of the time, and --minibatch_size is to be left out
        (--records_per_task takes the place of --num_minibatches_per_task). shuffle: records to shuffle over,
        default BUFFER; 0 = not at all.
    Errors: ValueError for other keys, or for numbers that are out of range.
    """
    options = metadata or {}
    unknown = sorted(set(options) - {"batch_size", "shuffle"})
    if unknown:
        raise ValueError(f"--dataset_metadata: {', '.join(unknown)}: there are batch_size and shuffle")
    batch_size, buffer = options.get("batch_size"), options.get("shuffle", BUFFER)
    if batch_size is not None and batch_size < 1 or buffer < 0:
        raise ValueError(f"--dataset_metadata {metadata}: batch_size must be at least 1, shuffle at least 0")
    if mode == "training" and buffer:
        dataset = dataset.shuffle(buffer)
    if batch_size is not None:
        dataset = dataset.batch(batch_size)
    return dataset.map(parse)
