using Akka.Actor;
using Akka.Event;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Copying;
using Kvcached.Gpu.Pools;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// Writes and checks stamps in this rank's blocks through the copier, a process of its own that maps the same memory; on host memory, checks
/// through the host's own mapping, so that two processes and two mappings must agree. Starts the copier when first asked. Takes one message
/// at a time, because an extent must not be handed over while it is being let go.
/// </summary>
internal sealed class DataChecker : ReceiveActor
{
    private readonly PagePool _pages;
    private readonly CopierHoldings _holdings;
    private readonly CopierClientOptions _copierOptions;
    private readonly ILoggingAdapter _log = Context.GetLogger();
    private readonly Dictionary<PoolId, HashSet<Extent>> _mapped = [];
    private readonly HashSet<(PoolId Pool, Extent Extent)> _dropped = [];
    private CopierClient? _copier;

    public DataChecker(PagePool pages, CopierHoldings holdings, CopierClientOptions copierOptions)
    {
        _pages = pages;
        _holdings = holdings;
        _copierOptions = copierOptions;
        ReceiveAsync<DataCheckProtocol.WriteStamps>(m => CheckAsync(m, m.BatchId, m.Group, m.Blocks, WriteAsync));
        ReceiveAsync<DataCheckProtocol.VerifyStamps>(m => CheckAsync(m, m.BatchId, m.Group, m.Blocks, VerifyAsync));
        ReceiveAsync<CopierProtocol.DropExtents>(DropAsync);
        ReceiveAsync<CopierProtocol.DropPool>(DropAsync);
    }

    public static Props Props(PagePool pages, CopierHoldings holdings, CopierClientOptions copierOptions) =>
        Akka.Actor.Props.Create(() => new DataChecker(pages, holdings, copierOptions));

    /// <summary>The copier's mappings end with it; a new one starts with none.</summary>
    protected override void PostStop()
    {
        if (_copier is { } copier)
        {
            _copier = null;
            _ = copier.DisposeAsync().AsTask();
        }
    }

    private async Task CheckAsync(
        DataCheckProtocol.IMessage message, long batchId, int group, System.Collections.Immutable.ImmutableArray<StampedBlock> blocks,
        Func<RankPool, int, MappedBlocks, Task<(int Corrupt, string? FirstProblem, string? Failure)>> work)
    {
        var replyTo = Sender;
        string? failure;
        if (!_pages.TryGet(message.Pool, out var pool))
        {
            failure = $"{message.Pool} isn't open on {_pages.Gpu}.";
        }
        else if (!MappedBlocks.TryFind(pool, group, blocks, out var found, out var problem))
        {
            failure = problem;
        }
        else
        {
            var (corrupt, firstProblem, failed) = await work(pool, group, found!);
            failure = failed;
            if (failure is null)
            {
                replyTo.Tell(new DataCheckProtocol.StampsDone(message.Pool, batchId, _pages.Gpu, corrupt, firstProblem), Self);
                return;
            }
        }

        replyTo.Tell(new DataCheckProtocol.StampsFailed(message.Pool, batchId, _pages.Gpu, failure), Self);
    }

    private async Task<(int Corrupt, string? FirstProblem, string? Failure)> WriteAsync(RankPool pool, int group, MappedBlocks blocks)
    {
        var failure = await HandOverAsync(pool, blocks) ?? (await _copier!.StampAsync(pool.Id, group, blocks.Stamps))?.Message;
        return (0, null, failure);
    }

    private async Task<(int Corrupt, string? FirstProblem, string? Failure)> VerifyAsync(RankPool pool, int group, MappedBlocks blocks)
    {
        if (_copierOptions.Backend == CopierBackend.Host && pool.IsMappedHere)
        {
            var (corrupt, first) = HostMappingVerifier.Verify(pool, group, blocks.Stamps);
            return (corrupt, first, null);
        }

        if (await HandOverAsync(pool, blocks) is { } failure)
        {
            return (0, null, failure);
        }

        var verified = await _copier!.VerifyAsync(pool.Id, group, blocks.Stamps);
        return verified.IsOk
            ? ((int)verified.Value.MismatchingBlockCount, verified.Value.Mismatches.IsEmpty ? null : verified.Value.Mismatches[0].ToString(), null)
            : (0, null, verified.Failure.Message);
    }

    /// <summary>Makes sure that the copier runs and has the blocks' extents mapped; null, or what failed.</summary>
    private async Task<string?> HandOverAsync(RankPool pool, MappedBlocks blocks)
    {
        if (_copier is { Ended.IsCompleted: true } dead)
        {
            await LoseCopierAsync(dead, (await dead.Ended).Message);
        }

        if (_copier is null)
        {
            var started = await CopierClient.StartAsync(_copierOptions);
            if (!started.IsOk)
            {
                return started.Failure.Message;
            }

            _copier = started.Value;
        }

        if (!_mapped.TryGetValue(pool.Id, out var mapped))
        {
            _holdings.Mark(pool.Id);
            if (await _copier.AttachAsync(pool.Id, pool.Geometry, pool.Rank) is { } failure)
            {
                return failure.Message;
            }

            mapped = [];
            _mapped.Add(pool.Id, mapped);
        }

        foreach (var extent in blocks.Extents)
        {
            if (mapped.Contains(extent))
            {
                continue;
            }

            if (_dropped.Contains((pool.Id, extent)) || !pool.TryExport(extent, out var descriptors, out var problem))
            {
                return $"{extent} of {pool.Id} is being unmapped.";
            }

            var failure = await _copier.MapAsync(pool.Id, extent, descriptors);
            foreach (var descriptor in descriptors)
            {
                descriptor.Dispose();
            }

            if (failure is not null)
            {
                return failure.Message;
            }

            mapped.Add(extent);
        }

        return null;
    }

    private async Task DropAsync(CopierProtocol.DropExtents command)
    {
        var replyTo = Sender;
        if (_pages.TryGet(command.Pool, out var pool))
        {
            var stillMapped = pool.MappedExtents.ToHashSet();
            _dropped.RemoveWhere(d => d.Pool == command.Pool && !stillMapped.Contains(d.Extent));
        }

        foreach (var extent in command.Extents)
        {
            _dropped.Add((command.Pool, extent));
            if (_copier is { } copier && _mapped.TryGetValue(command.Pool, out var mapped) && mapped.Remove(extent)
                && await copier.DropAsync(command.Pool, extent) is { } failure)
            {
                await LoseCopierAsync(copier, failure.Message);
            }
        }

        replyTo.Tell(new CopierProtocol.ExtentsDropped(command.Pool, command.Ticket), Self);
    }

    private async Task DropAsync(CopierProtocol.DropPool command)
    {
        var replyTo = Sender;
        if (_copier is { } copier && _mapped.Remove(command.Pool) && await copier.DetachAsync(command.Pool) is { } failure)
        {
            await LoseCopierAsync(copier, failure.Message);
        }

        _dropped.RemoveWhere(d => d.Pool == command.Pool);
        _holdings.Clear(command.Pool);
        replyTo.Tell(new CopierProtocol.ExtentsDropped(command.Pool, command.Ticket), Self);
    }

    /// <summary>A copier that doesn't let go in time is ended: only then is it sure that nothing of it is still mapped.</summary>
    private async Task LoseCopierAsync(CopierClient copier, string why)
    {
        _log.Warning("The copier of {Gpu} is ended: {Why}", _pages.Gpu, why);
        await copier.DisposeAsync();
        _copier = null;
        _mapped.Clear();
    }
}
