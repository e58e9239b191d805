using Kvcached.TraceReplay.Traces;

namespace Kvcached.TraceReplay.Engine;

/// <summary>
/// Continuous batching: which requests run, and the blocks that they take and give up. First come, first served; when a running
/// sequence can't get its next block, the youngest is preempted and later computed again. No request is ever dropped.
/// </summary>
/// <remarks>Times are trace time. Not thread-safe: one loop owns it.</remarks>
internal sealed class ContinuousBatch(CheckedBlocks blocks, ReplayOptions options)
{
    private readonly LinkedList<Sequence> _waiting = new();

    /// <summary>In order of admission: the last is the youngest.</summary>
    private readonly List<Sequence> _running = [];

    private TimeSpan _prefillFreeAt;

    /// <summary>Requests that have arrived.</summary>
    public int ArrivedCount { get; private set; }

    public int WaitingCount => _waiting.Count;

    public int RunningCount => _running.Count;

    public int FinishedCount { get; private set; }

    /// <summary>Times that a sequence lost its blocks to older ones.</summary>
    public long PreemptionCount { get; private set; }

    /// <summary>Blocks that running sequences wanted in the last turn and didn't get.</summary>
    public int MissingBlocks { get; private set; }

    public void Enqueue(TraceRequest request)
    {
        ArrivedCount++;
        _waiting.AddLast(new Sequence(request));
    }

    /// <summary>Retires the blocks of sequences that have all their tokens.</summary>
    public void RetireFinished() =>
        FinishedCount += _running.RemoveAll(sequence =>
        {
            if (sequence.RemainingTokens > 0)
            {
                return false;
            }

            blocks.Retire(sequence.Blocks);
            return true;
        });

    /// <summary>
    /// Appends the tokens of one turn to every sequence whose prompt is computed. One that lacks a block stands still for this turn.
    /// </summary>
    /// <param name="now">Trace time.</param>
    /// <param name="mayPreempt">True when no more pages will come soon: then the youngest give way until the others fit.</param>
    /// <returns>True when a sequence was preempted.</returns>
    public bool Decode(TimeSpan now, bool mayPreempt)
    {
        MissingBlocks = 0;
        foreach (var sequence in _running)
        {
            if (sequence.PrefilledAt > now)
            {
                continue;
            }

            var tokens = Math.Min(options.StepsPerTurn, sequence.RemainingTokens);
            var missing = sequence.MissingBlocks(sequence.TokenCount + tokens);
            if (missing == 0 || blocks.TryAllocate(missing, sequence.Blocks))
            {
                sequence.GeneratedTokens += tokens;
            }
            else
            {
                MissingBlocks += missing;
            }
        }

        return mayPreempt && MissingBlocks > 0 && PreemptFor(MissingBlocks);
    }

    /// <summary>
    /// Admits waiting requests, in order, as fast as prompts can be computed and while blocks for the whole context can be had.
    /// </summary>
    /// <param name="now">Trace time.</param>
    /// <param name="reserveBlocks">Free blocks that must be left afterwards, for the sequences that already run.</param>
    /// <param name="freeBlocks">Blocks free before.</param>
    public void Admit(TimeSpan now, long reserveBlocks, long freeBlocks)
    {
        var turnEnd = now + (options.DecodeStep * options.StepsPerTurn);
        while (_waiting.First is { } first && _running.Count < options.MaxRunningSequences && _prefillFreeAt < turnEnd)
        {
            var sequence = first.Value;
            var missing = sequence.MissingBlocks(sequence.TokenCount);
            if (freeBlocks - missing < reserveBlocks || !blocks.TryAllocate(missing, sequence.Blocks))
            {
                return;
            }

            freeBlocks -= missing;
            _waiting.RemoveFirst();
            _running.Add(sequence);
            var begin = _prefillFreeAt > now ? _prefillFreeAt : now;
            _prefillFreeAt = begin + TimeSpan.FromSeconds(sequence.TokenCount / options.PrefillTokensPerSecond);
            sequence.PrefilledAt = _prefillFreeAt;
        }
    }

    /// <summary>
    /// Blocks that are wanted at once: what running sequences lack, and the contexts of those waiting requests whose prompts could
    /// begin to be computed within <paramref name="horizon"/> of trace time.
    /// </summary>
    public long DemandBlocks(TimeSpan now, TimeSpan horizon)
    {
        long demand = MissingBlocks;
        var busyUntil = _prefillFreeAt > now ? _prefillFreeAt : now;
        var slots = options.MaxRunningSequences - _running.Count;
        foreach (var sequence in _waiting)
        {
            if (slots-- <= 0 || busyUntil >= now + horizon)
            {
                break;
            }

            demand += sequence.MissingBlocks(sequence.TokenCount);
            busyUntil += TimeSpan.FromSeconds(sequence.TokenCount / options.PrefillTokensPerSecond);
        }

        return demand;
    }

    /// <summary>Retires every block; the sequences wait again. For the end of a run.</summary>
    public void StopAll()
    {
        while (_running.Count > 0)
        {
            Requeue();
        }
    }

    /// <summary>All blocks are lost with their content: the sequences wait again, and are computed again.</summary>
    public void LoseAll()
    {
        for (; _running.Count > 0; _running.RemoveAt(_running.Count - 1))
        {
            _running[^1].Blocks.Clear();
            _waiting.AddFirst(_running[^1]);
        }

        blocks.Lose();
    }

    private bool PreemptFor(int missingBlocks)
    {
        var freed = 0;
        while (_running.Count > 0 && freed < missingBlocks)
        {
            freed += _running[^1].Blocks.Count;
            Requeue();
            PreemptionCount++;
        }

        return freed > 0;
    }

    /// <summary>Takes the youngest sequence's blocks and puts it in front of the queue, where it was before the others.</summary>
    private void Requeue()
    {
        var youngest = _running[^1];
        _running.RemoveAt(_running.Count - 1);
        blocks.Retire(youngest.Blocks);
        _waiting.AddFirst(youngest);
    }
}
