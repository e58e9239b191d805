using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Kvcached.Actors.Engines;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;

namespace Kvcached.TraceReplay.Chaos.Engines;

/// <content>What the scheduler and the workers are told, and what becomes of it when they end before they answer.</content>
internal sealed partial class ChaosPool
{
    /// <summary>Sends a command to whoever is the scheduler now.</summary>
    public Task<JsonElement?> AskSchedulerAsync(string command) => _scheduler?.AskAsync(command) ?? Task.FromResult<JsonElement?>(null);

    private async Task<Refusal?> AllocateAsync(int blockCount, TimeSpan deadline)
    {
        long tag;
        lock (_lock)
        {
            tag = _book.BeginAllocation(blockCount);
        }

        var answer = await AskSchedulerAsync(string.Create(
            CultureInfo.InvariantCulture, $"allocate pool={_name} count={blockCount} tag={tag} deadline={deadline.TotalSeconds:0.###}"));
        if (answer is not { } given)
        {
            // Nobody knows whether it was carried out; the successor will see.
            return EngineAnswer.RefusalOf(null);
        }

        lock (_lock)
        {
            if (EngineAnswer.RefusalOf(given) is { } refusal)
            {
                _book.Refused();
                return refusal;
            }

            var twice = _book.Granted(EngineAnswer.Blocks(given));
            FirstViolation ??= twice.IsEmpty ? null : $"{_name}: block {twice[0]} was handed out twice.";
        }

        return await CountPagesAsync();
    }

    private async Task FlushFreesAsync()
    {
        int[] blocks;
        lock (_lock)
        {
            blocks = _book.BeginFreeing();
        }

        if (blocks.Length == 0)
        {
            return;
        }

        if (await AskSchedulerAsync($"free pool={_name} blocks={string.Join(',', blocks)}") is not { } answer)
        {
            return;
        }

        // What is freed after the end of a lease is freed for nobody but the scheduler itself: its successor finds those blocks as they were.
        if (EngineAnswer.WithdrawnFor(await AskSchedulerAsync($"pool-stats pool={_name}")) is null)
        {
            lock (_lock)
            {
                _book.Freed();
            }
        }

        FirstViolation ??= EngineAnswer.RefusalOf(answer) is { } refusal && refusal.Reason is not (RefusalReason.PoolLost or RefusalReason.HostUnreachable) ? $"{_name}: blocks could not be freed: {refusal}" : null;
    }

    private async Task<Refusal?> CountPagesAsync()
    {
        if (await AskSchedulerAsync($"pool-stats pool={_name}") is { } stats && EngineAnswer.IsOk(stats))
        {
            _mappedPages = stats.GetProperty("mappedPages").GetInt32();
        }

        return null;
    }

    private async Task<StampOutcome> OnWorkersAsync(string verb, ImmutableArray<StampedBlock> blocks)
    {
        if (Array.Exists(_workers, worker => worker is null))
        {
            return new StampOutcome(0, null, false);
        }

        var command = $"{verb} blocks={string.Join(',', blocks.Select(block => block.Block.Value))} versions={string.Join(',', blocks.Select(block => block.Version))}";
        var answers = await Task.WhenAll(_workers.Select(worker => worker?.AskAsync(command) ?? Task.FromResult<JsonElement?>(null)));
        var corrupt = 0;
        string? first = null;
        for (var rank = 0; rank < answers.Length; rank++)
        {
            if (answers[rank] is not { } answer || !EngineAnswer.IsOk(answer))
            {
                return new StampOutcome(0, null, false);
            }

            if (verb == "verify" && answer.GetProperty("corrupt").GetInt32() is > 0 and var wrong)
            {
                corrupt += wrong;
                first ??= $"{_name} rank {rank}: {answer.GetProperty("first").GetString()}";
            }
        }

        return new StampOutcome(corrupt, first, true);
    }
}
