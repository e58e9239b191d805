namespace Kvcached.Gpu.Faults;

/// <summary>What the users of a backend hold at one moment; all zero when nothing leaked.</summary>
/// <param name="ReservationCount">Address ranges not given back.</param>
/// <param name="HandleCount">Handles created or imported and not released.</param>
/// <param name="MappingCount">Mappings not taken away.</param>
/// <param name="HandleBytes">Bytes of the handles.</param>
public readonly record struct LiveCounts(int ReservationCount, int HandleCount, int MappingCount, long HandleBytes);
