// Leaks are found by counting what the whole process holds, so one test runs at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
