using System.Text;
using Kvcached.Client.Native.Abi;
using Kvcached.Core.Decisions;
using Kvcached.Core.Ids;
using Kvcached.Core.Paging;

namespace Kvcached.Client.Native;

/// <summary>Keeps a message for the calling thread and returns the code that goes with it.</summary>
internal static unsafe class Failure
{
    private const int MaxMessageBytes = 2048;

    /// <summary>A message that was made for this failure.</summary>
    public static int Because(Status status, string message)
    {
        var utf8 = stackalloc byte[MaxMessageBytes];
        Encoding.UTF8.TryGetBytes(message, new Span<byte>(utf8, MaxMessageBytes), out var byteCount);
        if (byteCount == 0 && message.Length > 0)
        {
            Encoding.UTF8.GetEncoder().Convert(message, new Span<byte>(utf8, MaxMessageBytes), flush: true, out _, out byteCount, out _);
        }

        Shim.KeepError(utf8, byteCount);
        return (int)status;
    }

    /// <summary>A constant message, for what happens often: nothing is allocated.</summary>
    public static int Because(Status status, ReadOnlySpan<byte> utf8)
    {
        fixed (byte* start = utf8)
        {
            Shim.KeepError(start, utf8.Length);
        }

        return (int)status;
    }

    public static int Because(Refusal refusal) => Because(StatusOf.Refusal(refusal.Reason), refusal.Detail);

    /// <summary>What was wrong with which of the blocks; success when nothing was.</summary>
    public static int Because(BlockFault fault, ReadOnlySpan<BlockId> blocks)
    {
        if (fault.IsNone)
        {
            return (int)Status.Ok;
        }

        var what = fault.Kind switch
        {
            BlockFaultKind.Foreign => "is no block of a page that this pool ever held",
            BlockFaultKind.Stale => "lies in a page that was given up",
            BlockFaultKind.DoubleFree => "is not in use: it was freed or cached before, or is named twice",
            BlockFaultKind.NotCached => "is not cached: it is in use or free, or is named twice",
            BlockFaultKind.NotFree => "is in use or cached",
            BlockFaultKind.NotTagged => "has no tag",
            BlockFaultKind.BadTag => $"can't have this tag; a tag has 1 to {BlockAllocator.MaxTagBytes} bytes",
            _ => "can't be used so",
        };
        var block = (uint)fault.Index < (uint)blocks.Length ? blocks[fault.Index].Value : -1;
        return Because(StatusOf.Fault(fault.Kind), $"Block {block}, at position {fault.Index}, {what}. No block was changed.");
    }

    public static int BadHandle(ulong handle, string kind) => Because(
        Status.BadHandle, $"Handle 0x{handle:x} is no open {kind} of this process: it was closed, is of another kind or process, or never was one.");

    public static int Argument(string message) => Because(Status.InvalidArgument, message);

    public static int NegativeTimeout(int milliseconds) => Because(Status.InvalidArgument, $"'timeout_ms' is {milliseconds}; a time isn't negative.");

    public static int NullPointer(string name) => Because(Status.InvalidArgument, $"'{name}' is a null pointer.");

    /// <summary>Whatever managed code threw: no exception leaves the library.</summary>
    public static int Caught(Exception exception) => exception switch
    {
        ArgumentException argument => Because(Status.InvalidArgument, argument.Message),
        _ => Because(Status.Internal, $"{exception.GetType().Name}: {exception.Message}"),
    };
}
