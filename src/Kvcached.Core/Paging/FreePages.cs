using System.Numerics;

namespace Kvcached.Core.Paging;

/// <summary>
/// The free page ids of one KV group as a buddy system: aligned runs of 2^k, split on taking and joined with their buddy on
/// returning. The number of page ids need not be a power of two.
/// </summary>
internal sealed class FreePages
{
    private readonly int _virtualPageCount;
    private readonly BitIndex[] _runs;
    private readonly int[] _runCounts;

    public FreePages(int virtualPageCount)
    {
        _virtualPageCount = virtualPageCount;
        _runs = new BitIndex[BitOperations.Log2((uint)virtualPageCount) + 1];
        _runCounts = new int[_runs.Length];
        for (var order = 0; order < _runs.Length; order++)
        {
            _runs[order] = new BitIndex(virtualPageCount >> order);
        }

        Reset();
    }

    public int Count { get; private set; }

    /// <summary>Order of the largest free run; -1 when nothing is free.</summary>
    public int LargestOrder
    {
        get
        {
            var order = _runCounts.Length - 1;
            while (order >= 0 && _runCounts[order] == 0)
            {
                order--;
            }

            return order;
        }
    }

    /// <summary>Makes all page ids free.</summary>
    public void Reset()
    {
        foreach (var runs in _runs)
        {
            runs.Clear();
        }

        Array.Clear(_runCounts);
        for (var first = 0; first < _virtualPageCount;)
        {
            var order = BitOperations.Log2((uint)(_virtualPageCount - first));
            if (first != 0)
            {
                order = Math.Min(order, BitOperations.TrailingZeroCount(first));
            }

            AddRun(first, order);
            first += 1 << order;
        }

        Count = _virtualPageCount;
    }

    /// <summary>
    /// Takes the lowest run of the smallest order that holds one of <paramref name="order"/>, and gives back what is too much.
    /// </summary>
    public bool TryTake(int order, out int first)
    {
        for (var from = order; from < _runs.Length; from++)
        {
            if (_runCounts[from] > 0)
            {
                first = _runs[from].NextFrom(0) << from;
                Split(first, from, first, order);
                return true;
            }
        }

        first = -1;
        return false;
    }

    /// <summary>Takes a given aligned run; false when some page of it is taken.</summary>
    public bool TryTakeAt(int first, int order)
    {
        for (var from = order; from < _runs.Length; from++)
        {
            if (_runs[from].Contains(first >> from))
            {
                Split((first >> from) << from, from, first, order);
                return true;
            }
        }

        return false;
    }

    /// <summary>Returns a run that is known to be taken as a whole.</summary>
    public void Return(int first, int order)
    {
        Count += 1 << order;
        while (order < _runs.Length - 1 && _runs[order].Contains((first >> order) ^ 1))
        {
            RemoveRun(first ^ (1 << order), order);
            first &= ~(1 << order);
            order++;
        }

        AddRun(first, order);
    }

    private void Split(int run, int runOrder, int first, int order)
    {
        RemoveRun(run, runOrder);
        while (runOrder > order)
        {
            runOrder--;
            var upper = run + (1 << runOrder);
            if (first >= upper)
            {
                AddRun(run, runOrder);
                run = upper;
            }
            else
            {
                AddRun(upper, runOrder);
            }
        }

        Count -= 1 << order;
    }

    private void AddRun(int first, int order)
    {
        _runs[order].Add(first >> order);
        _runCounts[order]++;
    }

    private void RemoveRun(int first, int order)
    {
        _runs[order].Remove(first >> order);
        _runCounts[order]--;
    }
}
