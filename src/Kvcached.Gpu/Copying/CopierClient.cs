using System.Collections.Immutable;
using System.Diagnostics;
using Kvcached.Core.Checking;
using Kvcached.Core.Geometry;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;
using Kvcached.Gpu.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Kvcached.Gpu.Copying;

/// <summary>
/// A running copier, seen from the process that started it. Safe for any number of callers; every call has a deadline and fails at
/// once when the copier dies.
/// </summary>
public sealed class CopierClient : IAsyncDisposable
{
    /// <summary>Most stamps of one request; longer lists are split, each part with a deadline of its own.</summary>
    private const int StampsPerCall = 4096;

    private static readonly SafeFileHandle[] NoDescriptors = [];

    private readonly CopierClientOptions _options;
    private readonly CopierProcess _process;
    private readonly CopierConnection _connection;
    private int _isDisposed;

    private CopierClient(CopierClientOptions options, CopierProcess process, UnixMessageChannel channel)
    {
        _options = options;
        _process = process;
        _connection = new CopierConnection(channel, options.TimeProvider, EndProcessAsync);
    }

    /// <summary>The copier's process.</summary>
    public int ProcessId => _process.Id;

    /// <summary>Smallest size and alignment that the copier's memory maps, in bytes.</summary>
    public long GranularityBytes { get; private set; }

    /// <summary>Completes when the copier is gone, with the reason.</summary>
    public Task<CopierUnavailable> Ended => _connection.Closed;

    /// <summary>Starts a copier and waits until it is ready. On failure nothing is left behind.</summary>
    /// <param name="options">What to start.</param>
    /// <param name="cancellation">Gives up; the process is ended then.</param>
    public static async Task<CopierResult<CopierClient>> StartAsync(CopierClientOptions options, CancellationToken cancellation = default)
    {
        using var timer = new CancellationTokenSource(options.StartTimeout, options.TimeProvider);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellation);
        CopierClient client;
        try
        {
            var (process, channel, failure) = await CopierProcess.StartAsync(options, deadline.Token).ConfigureAwait(false);
            if (failure is not null)
            {
                return failure;
            }

            client = new CopierClient(options, process, channel);
        }
        catch (OperationCanceledException)
        {
            cancellation.ThrowIfCancellationRequested();
            return new CopierUnavailable($"The copier didn't start within {options.StartTimeout.TotalSeconds:0.###} s.", null, null);
        }

        try
        {
            if (await client.GreetAsync(cancellation).ConfigureAwait(false) is { } refusal)
            {
                await client.DisposeAsync().ConfigureAwait(false);
                return refusal;
            }

            return client;
        }
        catch
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Reserves the arena of one rank of a pool in the copier. Returns null when it is done.</summary>
    public Task<CopierFailure?> AttachAsync(PoolId pool, PoolGeometry geometry, int rank, CancellationToken cancellation = default)
    {
        if (GeometryRules.FindProblem(geometry, 1) is { } problem)
        {
            return Task.FromResult<CopierFailure?>(new CopierCallInvalid(problem));
        }

        return rank < 0 || rank >= geometry.Ranks.Length
            ? Task.FromResult<CopierFailure?>(new CopierCallInvalid($"{pool} has {geometry.Ranks.Length} ranks, none of them {rank}."))
            : DoAsync([new CopierProtocol.Attach(pool, rank, geometry with { Ranks = [geometry.Ranks[rank]] })], NoDescriptors, cancellation);
    }

    /// <summary>Maps an extent in the copier. Returns null when it is done.</summary>
    /// <param name="pool">An attached pool.</param>
    /// <param name="extent">What to map.</param>
    /// <param name="memory">
    /// Its memory, one descriptor per mapping unit of its group, in their order. They stay the caller's and must stay open until the
    /// call returns.
    /// </param>
    /// <param name="cancellation">Stops waiting; the extent may be mapped all the same.</param>
    public Task<CopierFailure?> MapAsync(
        PoolId pool, Extent extent, IReadOnlyList<SafeFileHandle> memory, CancellationToken cancellation = default)
    {
        if (memory.Count is 0 or > GeometryRules.MaxUnits)
        {
            return Task.FromResult<CopierFailure?>(
                new CopierCallInvalid($"{extent} of {pool} comes with {memory.Count} descriptors; it takes 1 to {GeometryRules.MaxUnits}."));
        }

        var parts = new List<CopierProtocol.IRequest>();
        for (var first = 0; first < memory.Count; first += UnixMessageChannel.MaxDescriptors)
        {
            var count = Math.Min(UnixMessageChannel.MaxDescriptors, memory.Count - first);
            parts.Add(new CopierProtocol.Map(pool, extent, first, memory.Count, count));
        }

        return DoAsync(parts, [.. memory], cancellation);
    }

    /// <summary>Unmaps an extent in the copier, which has let go of its memory when this returns null.</summary>
    public Task<CopierFailure?> DropAsync(PoolId pool, Extent extent, CancellationToken cancellation = default) =>
        DoAsync([new CopierProtocol.Drop(pool, extent)], NoDescriptors, cancellation);

    /// <summary>
    /// Writes stamps into blocks, all layers and buffers. Returns null when it is done. A failure may leave part of a list of more than
    /// 4096 stamps written.
    /// </summary>
    public async Task<CopierFailure?> StampAsync(
        PoolId pool, int group, ImmutableArray<BlockStamp> stamps, CancellationToken cancellation = default)
    {
        for (var first = 0; first < stamps.Length; first += StampsPerCall)
        {
            var part = stamps.Slice(first, Math.Min(StampsPerCall, stamps.Length - first));
            if (await DoAsync([new CopierProtocol.Stamp(pool, group, part)], NoDescriptors, cancellation).ConfigureAwait(false) is { } failure)
            {
                return failure;
            }
        }

        return null;
    }

    /// <summary>Compares blocks with their stamps, all layers and buffers.</summary>
    public async Task<CopierResult<VerifyReport>> VerifyAsync(
        PoolId pool, int group, ImmutableArray<BlockStamp> stamps, CancellationToken cancellation = default)
    {
        var report = VerifyReport.Empty;
        for (var first = 0; first < stamps.Length; first += StampsPerCall)
        {
            var part = stamps.Slice(first, Math.Min(StampsPerCall, stamps.Length - first));
            var (verified, failure) = await AskAsync<CopierProtocol.Verified>(
                [new CopierProtocol.Verify(pool, group, part)], NoDescriptors, _options.CallTimeout, cancellation).ConfigureAwait(false);
            if (failure is not null)
            {
                return failure;
            }

            report = report.With(verified!.Report);
        }

        return report;
    }

    /// <summary>Sums the bytes of a mapped extent, over all its mapping units.</summary>
    public async Task<CopierResult<CopierProtocol.Summed>> ChecksumAsync(PoolId pool, Extent extent, CancellationToken cancellation = default)
    {
        var (summed, failure) = await AskAsync<CopierProtocol.Summed>(
            [new CopierProtocol.Checksum(pool, extent)], NoDescriptors, _options.CallTimeout, cancellation).ConfigureAwait(false);
        return failure is null ? summed! : failure;
    }

    /// <summary>Drops all extents of a pool and gives its arena back. Returns null when it is done.</summary>
    public Task<CopierFailure?> DetachAsync(PoolId pool, CancellationToken cancellation = default) =>
        DoAsync([new CopierProtocol.Detach(pool)], NoDescriptors, cancellation);

    /// <summary>Ends the copier: asks it to, and kills it when it doesn't in time. Its mappings are gone then.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            await _connection.Closed.ConfigureAwait(false);
            return;
        }

        await AskAsync<CopierProtocol.Done>([new CopierProtocol.Exit()], NoDescriptors, _options.ExitTimeout, default).ConfigureAwait(false);
        await _connection.DisposeAsync().ConfigureAwait(false);
        _process.Dispose();
    }

    private async Task<CopierFailure?> GreetAsync(CancellationToken cancellation)
    {
        var hello = new CopierProtocol.Hello(CopierProtocol.Version, _options.Backend, _options.Gpu);
        var (accepted, failure) = await AskAsync<CopierProtocol.HelloAccepted>(
            [hello], NoDescriptors, _options.StartTimeout, cancellation).ConfigureAwait(false);
        if (failure is not null)
        {
            return failure;
        }

        GranularityBytes = accepted!.GranularityBytes;
        _connection.AddCredits(accepted.MaxOutstanding - 1);
        return null;
    }

    private async Task<CopierFailure?> DoAsync(
        IReadOnlyList<CopierProtocol.IRequest> parts, SafeFileHandle[] descriptors, CancellationToken cancellation) =>
        (await AskAsync<CopierProtocol.Done>(parts, descriptors, _options.CallTimeout, cancellation).ConfigureAwait(false)).Failure;

    private async Task<(T? Reply, CopierFailure? Failure)> AskAsync<T>(
        IReadOnlyList<CopierProtocol.IRequest> parts, SafeFileHandle[] descriptors, TimeSpan timeout, CancellationToken cancellation)
        where T : class, CopierProtocol.IReply
    {
        var (reply, failure) = await _connection.CallAsync(parts, descriptors, timeout, cancellation).ConfigureAwait(false);
        switch (reply)
        {
            case T expected:
                return (expected, null);
            case CopierProtocol.Refused refused:
                return (null, new CopierRefused(refused.Reason, refused.Message));
            case null:
                return (null, failure ?? throw new UnreachableException("A call ended without reply or failure."));
            default:
                _connection.Close($"answered {parts[0].GetType().Name} with {reply.GetType().Name}");
                return (null, await _connection.Closed.ConfigureAwait(false));
        }
    }

    /// <summary>Waits for the process to end, at first of itself; one that not even a kill ends in time is reported all the same.</summary>
    private async Task<CopierUnavailable> EndProcessAsync(string what)
    {
        using var grace = new CancellationTokenSource(_options.ExitTimeout, _options.TimeProvider);
        var end = await _process.DescribeEndAsync(what, grace.Token).ConfigureAwait(false);
        if (end.ExitCode is not null)
        {
            return end;
        }

        using var killed = new CancellationTokenSource(_options.ExitTimeout, _options.TimeProvider);
        return await _process.DescribeEndAsync(what, killed.Token).ConfigureAwait(false);
    }
}
