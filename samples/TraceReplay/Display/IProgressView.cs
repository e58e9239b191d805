namespace Kvcached.TraceReplay.Display;

/// <summary>Shows how a run goes.</summary>
internal interface IProgressView
{
    /// <summary>Says something once, before there are pictures.</summary>
    void Say(string line);

    /// <summary>Shows pictures while <paramref name="work"/> goes on, which calls its argument with each new one.</summary>
    Task ShowAsync(Func<Action<RunPicture>, Task> work);
}
