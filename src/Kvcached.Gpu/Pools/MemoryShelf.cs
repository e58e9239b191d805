namespace Kvcached.Gpu.Pools;

/// <summary>Unused memory of one pool, found by shape and by age. Guarded by the ledger's lock.</summary>
internal sealed class MemoryShelf
{
    private readonly LinkedList<ExtentMemory> _byAge = [];
    private readonly Dictionary<(int Group, byte Order), LinkedList<ExtentMemory>> _byShape = [];

    internal long ByteCount { get; private set; }

    /// <summary>What lies here longest; null when the shelf is empty.</summary>
    internal ExtentMemory? Oldest => _byAge.First?.Value;

    internal IEnumerable<ExtentMemory> All => _byAge;

    internal int CountOf(int group, byte order) => _byShape.TryGetValue((group, order), out var same) ? same.Count : 0;

    internal void Add(ExtentMemory memory, long timestamp)
    {
        var shape = (memory.Group, memory.Order);
        if (!_byShape.TryGetValue(shape, out var same))
        {
            _byShape.Add(shape, same = []);
        }

        memory.ShelvedAt = timestamp;
        memory.ByAge = _byAge.AddLast(memory);
        memory.ByShape = same.AddLast(memory);
        ByteCount += memory.HeldBytes;
    }

    /// <summary>Takes what was put here last of a shape: the likeliest to be in the driver's and the workers' caches.</summary>
    internal ExtentMemory TakeNewest(int group, byte order) => Take(_byShape[(group, order)].Last!.Value);

    internal ExtentMemory Take(ExtentMemory memory)
    {
        var shape = (memory.Group, memory.Order);
        _byAge.Remove(memory.ByAge!);
        _byShape[shape].Remove(memory.ByShape!);
        if (_byShape[shape].Count == 0)
        {
            _byShape.Remove(shape);
        }

        memory.ByAge = memory.ByShape = null;
        ByteCount -= memory.HeldBytes;
        return memory;
    }

    internal List<ExtentMemory> TakeAll()
    {
        var all = _byAge.ToList();
        all.ForEach(m => Take(m));
        return all;
    }
}
