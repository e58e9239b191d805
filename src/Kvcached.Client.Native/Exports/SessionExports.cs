using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvcached.Client.Native.Abi;

namespace Kvcached.Client.Native.Exports;

/// <summary>Start and sessions; what each does is said in <c>kvcached.h</c>.</summary>
internal static unsafe class SessionExports
{
    /// <summary>The first managed code that runs in the process.</summary>
    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_start", CallConvs = [typeof(CallConvCdecl)])]
    public static int Start()
    {
        try
        {
            Shim.WatchDescriptors(KvProcess.DescriptorsToCloseInChild, KvProcess.DescriptorCapacity, KvProcess.DescriptorsEverUsed);
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_open_session", CallConvs = [typeof(CallConvCdecl)])]
    public static int Open(AbiSessionOptions* options, ulong* session)
    {
        try
        {
            if (session == null)
            {
                return Failure.NullPointer("session");
            }

            if (!OptionsReader.TryRead(options, out var read, out var problem))
            {
                return Failure.Argument(problem);
            }

            var opened = KvSession.Open(read);
            if (!opened.IsGranted)
            {
                return Failure.Because(opened.Refusal);
            }

            *session = Handles.Table.Add(new OpenSession(opened.Value));
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_session_state", CallConvs = [typeof(CallConvCdecl)])]
    public static int State(ulong session, int* isConnected)
    {
        try
        {
            if (Handles.Table.Find<OpenSession>(session) is not { } target)
            {
                return Failure.BadHandle(session, "session");
            }

            if (isConnected != null)
            {
                *isConnected = target.Session.IsConnected ? 1 : 0;
            }

            return target.Session.Ended is { } refusal ? Failure.Because(refusal) : (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }

    [UnmanagedCallersOnly(EntryPoint = "kvc_managed_close_session", CallConvs = [typeof(CallConvCdecl)])]
    public static int Close(ulong session)
    {
        try
        {
            if (Handles.Table.Remove<OpenSession>(session) is not { } target)
            {
                return Failure.BadHandle(session, "session");
            }

            List<OpenPool> pools = [.. target.TakePools().Select(Handles.Table.Remove<OpenPool>).OfType<OpenPool>()];
            target.Session.Dispose();
            pools.ForEach(pool => pool.Events.Close());
            return (int)Status.Ok;
        }
        catch (Exception e)
        {
            return Failure.Caught(e);
        }
    }
}
