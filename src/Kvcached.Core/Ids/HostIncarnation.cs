using System.Security.Cryptography;

namespace Kvcached.Core.Ids;

/// <summary>
/// One life of a host process: drawn at random when its page pool is made, so that an answer from before a restart is never
/// taken for one from after it. 0 = unknown.
/// </summary>
public readonly record struct HostIncarnation(long Value)
{
    public static HostIncarnation New() => new(1 + (((long)RandomNumberGenerator.GetInt32(int.MaxValue) << 31) | (uint)RandomNumberGenerator.GetInt32(int.MaxValue)));

    public override string ToString() => $"incarnation-{Value:x}";
}
