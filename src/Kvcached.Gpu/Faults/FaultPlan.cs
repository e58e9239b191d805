using Kvcached.Gpu.Memory;

namespace Kvcached.Gpu.Faults;

/// <summary>One thing to do to calls: to those from <paramref name="FromCall"/> to <paramref name="ToCall"/>, counted over what it watches.</summary>
/// <param name="Operation">The operation that it watches; null watches all of them together.</param>
/// <param name="FromCall">First call, counted from the backend's start, from 1.</param>
/// <param name="ToCall">Last call.</param>
/// <param name="Code">What to answer instead of asking the driver; null asks it.</param>
/// <param name="Delay">How long to wait first.</param>
/// <param name="Hanging">What to wait for first.</param>
internal sealed record FaultPlan(
    VirtualMemoryOperation? Operation, long FromCall, long ToCall, DriverCode? Code, TimeSpan Delay, HangingCall? Hanging)
{
    internal bool Hits(VirtualMemoryOperation operation, long callOfOperation, long callOfAll)
    {
        var call = Operation is null ? callOfAll : callOfOperation;
        return (Operation is null || Operation == operation) && call >= FromCall && call <= ToCall;
    }
}
