using System.Collections.Immutable;
using Akka.Actor;
using Kvcached.Actors.Hosting;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Engines;

/// <summary>Sends batches of stamps to the data checkers of all ranks of a pool. Finds them through the domain when first used.</summary>
internal sealed class DataCheckClient(PoolId pool, ImmutableArray<GpuId> gpus, EngineSessionHandle session) : IDisposable
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(30);

    private readonly SemaphoreSlim _finding = new(1, 1);
    private ImmutableArray<IActorRef> _checkers = [];
    private long _lastBatch;

    public void Dispose() => _finding.Dispose();

    public async Task<StampOutcome> SendAsync(Func<long, DataCheckProtocol.IMessage> makeBatch, CancellationToken cancellation)
    {
        if (await FindAsync(cancellation).ConfigureAwait(false) is { } problem)
        {
            return new StampOutcome(0, problem, false);
        }

        var batch = makeBatch(Interlocked.Increment(ref _lastBatch));
        var replies = await Task.WhenAll(_checkers.Select(checker => AskAsync(checker, batch, cancellation))).ConfigureAwait(false);
        var failed = replies.OfType<DataCheckProtocol.StampsFailed>().FirstOrDefault();
        var done = replies.OfType<DataCheckProtocol.StampsDone>().ToArray();
        return new StampOutcome(
            done.Sum(d => d.CorruptBlocks),
            failed is not null ? $"{failed.Gpu}: {failed.Problem}" : done.Where(d => d.FirstProblem is not null).Select(d => $"{d.Gpu}: {d.FirstProblem}").FirstOrDefault(),
            failed is null);
    }

    private async Task<object> AskAsync(IActorRef checker, DataCheckProtocol.IMessage batch, CancellationToken cancellation)
    {
        try
        {
            return await checker.Ask<object>(batch, Timeout, cancellation).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            return new DataCheckProtocol.StampsFailed(pool, 0, gpus[0], $"{checker.Path} didn't answer within {Timeout.TotalSeconds:0} s.");
        }
    }

    private async Task<string?> FindAsync(CancellationToken cancellation)
    {
        if (!_checkers.IsEmpty)
        {
            return null;
        }

        await _finding.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            if (await session.DescribeAsync(Timeout, cancellation).ConfigureAwait(false) is not { } domain)
            {
                return "The coordinator didn't say where the ranks are.";
            }

            var checkers = ImmutableArray.CreateBuilder<IActorRef>();
            foreach (var gpu in gpus)
            {
                var address = domain.Gpus.FirstOrDefault(g => g.Gpu == gpu)?.Address;
                if (address is null)
                {
                    return $"No host lends {gpu} any more.";
                }

                checkers.Add(await session.System.ActorSelection($"{address}/user/{KvcachedNames.DataChecker}").ResolveOne(Timeout, cancellation).ConfigureAwait(false));
            }

            _checkers = checkers.ToImmutable();
            return null;
        }
        catch (ActorNotFoundException e)
        {
            return $"A rank's data checker can't be found: {e.Message}";
        }
        finally
        {
            _finding.Release();
        }
    }
}
