// Some tests count what the whole process holds.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
