using System.Text.Json;
using System.Text.Json.Serialization;
using Kvcached.Core.Sharing;

namespace Kvcached.Core.Contracts;

/// <summary>Body of <c>PUT /pools/{id or name}/limit</c>; what isn't given stays as it is.</summary>
/// <param name="Limit">The limit on each GPU: a number of bytes, a size such as <c>20GiB</c>, a percentage of what each GPU lends, or <c>default</c> for what the engine asked.</param>
/// <param name="Floor">The floor on each GPU, likewise.</param>
/// <param name="Weight">The weight, 1 to 1,000,000; -1 = what the engine asked.</param>
/// <param name="Revision">Number of the change, above the last one; absent = the next.</param>
public sealed record LimitChangeView(
    [property: JsonConverter(typeof(MemoryAmountConverter))] MemoryAmount Limit = default,
    [property: JsonConverter(typeof(MemoryAmountConverter))] MemoryAmount Floor = default,
    int Weight = 0,
    long Revision = 0)
{
    /// <summary>On which of its GPUs limit and floor change, by id or the beginning of it; absent = on all for which nothing of their own is laid down.</summary>
    public IReadOnlyList<string>? Gpus { get; init; }
}

/// <summary>What became of a change that is in force.</summary>
/// <param name="Pool">Id of the pool.</param>
/// <param name="Name">Its name.</param>
/// <param name="Outcome"><c>applied</c>, or <c>deferred</c> while it holds more than its limit.</param>
/// <param name="Revision">Number of the change that is in force.</param>
/// <param name="Limit">What is laid down: bytes or a percentage; empty = as the engine asked.</param>
/// <param name="Floor">Likewise.</param>
/// <param name="Weight">Likewise; 0 = as the engine asked.</param>
/// <param name="KeptByHosts">Hosts that had it on disk by then.</param>
/// <param name="HostCount">Hosts that are to keep it.</param>
/// <param name="OnGpus">Its accounts.</param>
public sealed record LimitOutcomeView(
    string Pool, string Name, string Outcome, long Revision, string Limit, string Floor, int Weight, int KeptByHosts, int HostCount,
    IReadOnlyList<PoolOnGpuView> OnGpus);

/// <summary>A pool's account on one of its GPUs, in bytes.</summary>
/// <param name="Gpu">The GPU.</param>
/// <param name="LimitBytes">What it may hold there at most.</param>
/// <param name="FloorBytes">What others leave to it.</param>
/// <param name="ShareBytes">What it comes down to when others want memory.</param>
/// <param name="UsedBytes">Mapped, warm extents included.</param>
/// <param name="WarmBytes">Of the used, what holds no used block.</param>
/// <param name="ReservedBytes">Set aside for a grant under way.</param>
/// <param name="QuarantinedBytes">Given up but not unmapped yet.</param>
public sealed record PoolOnGpuView(
    string Gpu, long LimitBytes, long FloorBytes, long ShareBytes, long UsedBytes, long WarmBytes, long ReservedBytes, long QuarantinedBytes);

/// <summary>Body of <c>POST /pools/{id or name}/trim</c>.</summary>
/// <param name="Bytes">At least so much on each GPU, as far as there is; absent = all that is warm beyond the floor.</param>
public sealed record TrimChangeView([property: JsonConverter(typeof(MemoryAmountConverter))] MemoryAmount Bytes = default);

/// <param name="Pool">Id of the pool.</param>
/// <param name="Name">Its name.</param>
/// <param name="AskedBytes">What its engine was asked for, on the GPU where that is most.</param>
/// <param name="GivenBytes">What it gave up there.</param>
public sealed record TrimOutcomeView(string Pool, string Name, long AskedBytes, long GivenBytes);

/// <summary>Answer to <c>POST</c> and <c>DELETE /gpus/{gpu}/drain</c>.</summary>
/// <param name="Gpu">The GPU.</param>
/// <param name="IsDraining">True while it is being drained.</param>
/// <param name="IsQuiet">True when nothing is under way there any more: its host may be stopped.</param>
/// <param name="Pools">The pools on it.</param>
public sealed record DrainView(string Gpu, bool IsDraining, bool IsQuiet, IReadOnlyList<DrainedPoolView> Pools);

/// <param name="Name">Name of the pool.</param>
/// <param name="HeldBytes">What it holds there.</param>
/// <param name="IsKept">True when its workers keep that while the host is away; false when it is gone with the host.</param>
/// <param name="Awaited">For people: what is still under way; empty when nothing is.</param>
public sealed record DrainedPoolView(string Name, long HeldBytes, bool IsKept, string Awaited);

/// <summary>One event of <c>GET /events</c>.</summary>
/// <param name="Epoch">Epoch of the coordinator.</param>
/// <param name="Serial">Number of the event in that epoch, from 1.</param>
/// <param name="At">When, by this host's clock.</param>
/// <param name="Kind">What happened, of a closed list.</param>
/// <param name="Pool">Name of the pool; empty when it is about none.</param>
/// <param name="Gpu">The GPU; empty when it is about none, or several.</param>
/// <param name="Detail">A sentence.</param>
public sealed record DomainEventView(long Epoch, long Serial, DateTimeOffset At, string Kind, string Pool, string Gpu, string Detail);

/// <summary>What Akka Management answers to a change of the cluster.</summary>
public sealed record ClusterMessageView(string Message);

/// <summary>One event of <c>GET /cluster/domain-events</c> about a member, in the form that Akka Management gives it.</summary>
public sealed record MemberEventView(MemberEventMemberView Member, string Type);

/// <param name="DataCenter">Always <c>default</c>: there are no data centres here.</param>
/// <param name="Roles">Its roles.</param>
/// <param name="Status">Its status.</param>
/// <param name="UniqueAddress">Its address and UID.</param>
public sealed record MemberEventMemberView(string DataCenter, IReadOnlyList<string> Roles, string Status, UniqueAddressView UniqueAddress);

/// <param name="Address">The address.</param>
/// <param name="LongUid">The UID.</param>
public sealed record UniqueAddressView(string Address, long LongUid);

/// <summary>Reads an amount from a number of bytes or from text as people write it; writes text.</summary>
public sealed class MemoryAmountConverter : JsonConverter<MemoryAmount>
{
    /// <exception cref="JsonException">It is no amount.</exception>
    public override MemoryAmount Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
    {
        JsonTokenType.Null => MemoryAmount.None,
        JsonTokenType.Number when reader.TryGetInt64(out var bytes) && bytes >= 0 => MemoryAmount.OfBytes(bytes),
        JsonTokenType.String when MemoryAmount.TryParse(reader.GetString(), out var amount) => amount,
        _ => throw new JsonException("an amount is a number of bytes from 0, a size such as \"20GiB\", a percentage such as \"50%\", or \"default\""),
    };

    public override void Write(Utf8JsonWriter writer, MemoryAmount value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.ToString());
    }
}
