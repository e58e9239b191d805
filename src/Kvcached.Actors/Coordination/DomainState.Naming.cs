using System.Collections.Immutable;
using Kvcached.Actors.Protocols;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;

namespace Kvcached.Actors.Coordination;

/// <content>What operators mean by the names that they give.</content>
internal sealed partial class DomainState
{
    /// <summary>The pool of that id or name; a refusal when there is none, or it can't be changed now.</summary>
    private PoolState? FindPoolForOperator(string idOrName, out Refusal? refusal)
    {
        refusal = null;
        var pool = _pools.Values.FirstOrDefault(p => p.Id.ToString() == idOrName)
            ?? (_poolNames.TryGetValue(idOrName, out var id) ? _pools[id] : null);
        if (pool is null)
        {
            // It may be one that some rank hasn't reported yet.
            refusal = IsSettling || IsRecovering
                ? new Refusal(RefusalReason.Recovering, $"Not every host of domain '{_settings.Domain}' has said yet what it holds, and pool '{idOrName}' isn't among what is known. Try again.")
                : new Refusal(RefusalReason.UnknownPool, $"No open pool has the id or name '{idOrName}'.");
            return null;
        }

        if (pool.Phase is PoolPhase.Recovering || IsSettling)
        {
            refusal = new Refusal(RefusalReason.Recovering, $"Not every host of domain '{_settings.Domain}' has said yet what it holds of {pool.Id} and what was laid down for it. Try again.");
        }
        else if (pool.Phase is PoolPhase.Closing or PoolPhase.Lost)
        {
            refusal = new Refusal(RefusalReason.UnknownPool, $"{pool.Id} ('{pool.Spec.Name}') is being closed.");
        }

        return refusal is null ? pool : null;
    }

    /// <summary>The GPUs that a change names; a refusal when they can't be told, or it changes what is the same on all.</summary>
    private static Refusal? FindGpusOf(PoolState pool, OperatorProtocol.ChangePolicy command, out ImmutableArray<GpuId> gpus)
    {
        var found = ImmutableArray.CreateBuilder<GpuId>();
        gpus = [];
        if (!command.Gpus.IsDefaultOrEmpty && command.Change.Weight != 0)
        {
            return new Refusal(RefusalReason.BadLimit, "A weight is the same on all GPUs: give it in a change of its own, without GPUs.");
        }

        foreach (var name in command.Gpus.IsDefault ? [] : command.Gpus)
        {
            if (GpusNamed(name, pool.Gpus) is not [var gpu])
            {
                return new Refusal(RefusalReason.UnknownGpu, $"'{name}' names {GpusNamed(name, pool.Gpus).Length} GPUs of pool '{pool.Spec.Name}', not one. It is on {string.Join(", ", pool.Gpus)}.");
            }

            found.Add(gpu);
        }

        gpus = found.ToImmutable();
        return null;
    }

    /// <summary>The GPU of that id; or those whose ids begin so, when there is none.</summary>
    private static GpuId[] GpusNamed(string? name, IEnumerable<GpuId> among) =>
        string.IsNullOrEmpty(name) ? []
        : among.Where(gpu => gpu.Value == name).Take(1).ToArray() is [var exact] ? [exact]
        : [.. among.Where(gpu => gpu.Value.StartsWith(name, StringComparison.OrdinalIgnoreCase)).Distinct()];
}
