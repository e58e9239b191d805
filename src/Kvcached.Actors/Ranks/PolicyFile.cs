using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Kvcached.Core.Ids;
using Kvcached.Core.Sharing;

namespace Kvcached.Actors.Ranks;

/// <summary>
/// The file in the run directory in which a host keeps what operators have laid down for pools of its domain. Every host keeps all of it, so that it outlives any
/// of them, and all of them together.
/// </summary>
/// <param name="path">Where it is, in a directory private to the user.</param>
public sealed class PolicyFile(string path)
{
    /// <summary>Beyond this the file isn't one of ours.</summary>
    private const long MaxBytes = 4 << 20;

    /// <summary>The file of a GPU's host in a run directory.</summary>
    public static PolicyFile In(string directory, string domain, GpuId gpu) => new(Path.Combine(directory, $"policies-{domain}-{gpu}.json"));

    /// <summary>Writes all of them in place of what was there. Empty, or why not.</summary>
    internal string Save(ImmutableArray<PoolPolicy> policies)
    {
        try
        {
            var temporary = $"{path}.tmp";
            using (var file = new FileStream(temporary, new FileStreamOptions
            {
                Mode = FileMode.Create, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }))
            {
                JsonSerializer.Serialize(file, [.. policies.Select(Entry.Of)], PolicyFileContext.Default.EntryArray);
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
            return string.Empty;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return $"{path} can't be written: {exception.Message}";
        }
    }

    /// <summary>What was written last; nothing when there is no file, or none that can be read.</summary>
    /// <param name="policies">The policies.</param>
    /// <returns>Null, or what is wrong with the file: it is written anew with the next change.</returns>
    internal string? Load(out ImmutableArray<PoolPolicy> policies)
    {
        policies = [];
        try
        {
            if (!File.Exists(path))
            {
                return null;
            }

            if (new FileInfo(path).Length > MaxBytes)
            {
                return Unreadable("it is too long");
            }

            using var file = File.OpenRead(path);
            var entries = JsonSerializer.Deserialize(file, PolicyFileContext.Default.EntryArray) ?? [];
            ImmutableArray<PoolPolicy> read = [.. entries.Select(entry => entry.ToPolicy()).OfType<PoolPolicy>()];
            policies = [.. read.Where(policy => policy.IsSound)];
            return policies.Length == entries.Length ? null : Unreadable($"{entries.Length - policies.Length} of its {entries.Length} entries make no sense; the others hold");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            return Unreadable(exception.Message);
        }
    }

    private string Unreadable(string why) => $"{path}, in which limits of pools are kept, can't be read: {why}.";

    /// <summary>One policy, with amounts as people write them.</summary>
    internal sealed record Entry(string? Pool, long Epoch, long EpochNode, long Revision, string? Limit, string? Floor, int Weight)
    {
        /// <summary>What holds on single GPUs; null = nothing of their own.</summary>
        public GpuEntry[]? OnGpus { get; init; }

        public static Entry Of(PoolPolicy policy) => new(
            policy.Pool, policy.Epoch.Counter, policy.Epoch.NodeUid, policy.Revision, policy.Limit.ToString(), policy.Floor.ToString(), policy.Weight)
        {
            OnGpus = policy.OnGpus.IsDefaultOrEmpty ? null : [.. policy.OnGpus.Select(on => new GpuEntry(on.Gpu.Value, on.Limit.ToString(), on.Floor.ToString()))],
        };

        public PoolPolicy? ToPolicy()
        {
            GpuPolicy?[] onGpus = [.. (OnGpus ?? []).Select(on => on?.ToPolicy())];
            return Pool is not null && TryRead(Limit, out var limit) && TryRead(Floor, out var floor) && onGpus.All(on => on is not null)
                ? new PoolPolicy(Pool, new Epoch(Epoch, EpochNode), Revision, limit, floor, Weight) { OnGpus = [.. onGpus.OfType<GpuPolicy>()] }
                : null;
        }

        internal static bool TryRead(string? text, out MemoryAmount amount)
        {
            amount = MemoryAmount.None;
            return string.IsNullOrEmpty(text) || MemoryAmount.TryParse(text, out amount);
        }
    }
}

/// <summary>A policy on one GPU, likewise.</summary>
internal sealed record GpuEntry(string? Gpu, string? Limit, string? Floor)
{
    public GpuPolicy? ToPolicy() => GpuId.TryParse(Gpu, out var gpu) && PolicyFile.Entry.TryRead(Limit, out var limit) && PolicyFile.Entry.TryRead(Floor, out var floor)
        ? new GpuPolicy(gpu, limit, floor)
        : null;
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(PolicyFile.Entry[]))]
internal sealed partial class PolicyFileContext : JsonSerializerContext;
